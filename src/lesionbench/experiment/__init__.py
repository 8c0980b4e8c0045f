"""How a grid of cells is run."""
