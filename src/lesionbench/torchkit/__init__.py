"""For plugin authors who use torch."""
