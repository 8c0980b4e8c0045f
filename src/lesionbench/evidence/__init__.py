"""What it means: published values beside measured ones."""
