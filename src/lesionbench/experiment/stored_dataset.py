"""A loaded dataset as an entry of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.pipeline.dataset import LoadedDataset
from lesionbench.pipeline.images import LabelledImages

if TYPE_CHECKING:
    from lesionbench.store.entry import Draft, Entry

ARRAYS = ("images", "labels", "groups", "ids")


def write_dataset(draft: Draft, data: LoadedDataset) -> None:
    """Write the images and what is known about them."""
    for name in ARRAYS:
        draft.put_array(name, getattr(data.images, name))
    if data.is_test is not None:
        draft.put_array("is_test", data.is_test)
    facts = {
        "classes": data.images.classes,
        "groups_known": data.groups_known,
        "keep_shared_groups": data.keep_shared_groups,
        "notes": data.notes,
    }
    draft.put_json("about", facts)


def read_dataset(entry: Entry) -> LoadedDataset:
    """The dataset that `write_dataset` wrote."""
    facts = entry.json("about")
    images, labels, groups, ids = (entry.array(name) for name in ARRAYS)
    return LoadedDataset(
        LabelledImages(images, labels, groups, ids, tuple(facts["classes"])),
        entry.array("is_test") if entry.has("is_test.npy") else None,
        facts["groups_known"],
        facts["keep_shared_groups"],
        tuple(facts["notes"]),
    )
