"""Published values, whether they can be counts, and published beside measured."""
