"""Square ROIs cut from CT scans, in the order of the story.

settings, case (which scan with which lesions), volume (nifti, series, slice_file), lesion (mask, annotation),
roi, secret (salted hashes), output; `cut` tells it.
"""
