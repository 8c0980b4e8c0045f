"""The folders of a store: one for each kind of entry, and what is kept beside them."""

import re

DATASETS, SPLITS, FITS, POOLS, PREDICTIONS = "datasets", "splits", "fits", "pools", "predictions"
PARTS = "parts"  # of fits; removed when their fit is made
CODE = "code"  # the digests of the modules behind a digest of code
KINDS = (DATASETS, SPLITS, PARTS, FITS, POOLS, PREDICTIONS, CODE)  # of entries; an entry is the folder KIND/KEY
DAMAGED = "damaged"  # entries that were set aside
DRAFTS = "drafts"  # what is being written
CLAIMS = "claims"  # which process makes which entry
UNFINISHED = "unfinished"  # checkpoints of fits
USES = "uses"  # which run uses which entries
MARK = "lesionbench-store.json"  # what makes a folder a store
MANIFEST = "manifest.json"  # in every entry: the SHA-256 of each of its other files
INPUTS = "inputs"  # in an entry: the JSON value whose SHA-256 is its key
KEY = re.compile(r"[0-9a-f]{64}")
SET_ASIDE = re.compile(r"[a-z]+-[0-9a-f]{16}-[0-9a-f]{8}")  # a name in DAMAGED: kind, beginning of the key, random


def claim_name(kind: str, key: str) -> str:
    """The name of the file that claims an entry."""
    return f"{kind}-{key}.json"
