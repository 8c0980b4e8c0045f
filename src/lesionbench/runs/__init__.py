"""What is done with whole runs: as jobs of a cluster, joined, repeated, explained, one task cancelled."""
