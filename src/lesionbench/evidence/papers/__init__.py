"""Published values, the GRIM check of them, and published beside measured values."""
