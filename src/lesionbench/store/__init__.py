"""The store: what was made once is kept under a key of everything that it was made from, and found again."""
