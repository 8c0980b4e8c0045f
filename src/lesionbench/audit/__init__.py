"""Audits of splits, of synthetic images and of their fidelity."""
