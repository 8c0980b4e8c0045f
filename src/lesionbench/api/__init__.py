"""The Python API: what the command line does, for notebooks and scripts; every name is public as `lesionbench.NAME`."""
