"""One file for each CSV that a run writes from its predictions."""
