"""Cutting square ROIs from CT scans.

The steps, in order: settings, case (which scan with which lesions), volume (nifti, series, slice_file), lesion (mask,
annotation), roi, secret (salted hashes), output. `cut` runs them.
"""
