"""Folders that are there whole or not at all: a manifest holds the checksums of their files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from lesionbench.store.digests import file_digest
from lesionbench.store.whole_files import sync

MANIFEST = "manifest.json"


def empty_folder(parent: Path, prefix: str) -> Path:
    """A new folder whose name begins with `prefix` and is not taken yet."""
    return Path(tempfile.mkdtemp(dir=parent, prefix=prefix))


def is_whole(folder: Path) -> bool:
    """Whether every file of a sealed folder is there as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all(file_digest(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def seal(draft: Path) -> None:
    """Write the manifest and sync every file; the folder can be renamed to its place now."""
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    manifest = {path.relative_to(draft).as_posix(): file_digest(path) for path in files}
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    draft.chmod(0o755)
    for path in [*files, draft / MANIFEST, draft]:
        sync(path)
