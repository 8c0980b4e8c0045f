"""`lesionbench.audit_split` and `lesionbench.check`: can a split be believed, and does a plugin keep its contract?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from lesionbench.api.images import ArrayImages
from lesionbench.api.request import BASES, checked, given_folder, refuse_folder
from lesionbench.api.run_folder import Run
from lesionbench.audit.split import NEAR, SplitAudit, split_source
from lesionbench.audit.split import audit_split as audit_source
from lesionbench.builtin.arrays import Arrays, write_arrays
from lesionbench.errors import SettingsError
from lesionbench.experiment.data_folder import data_for_checks
from lesionbench.plugins import OWN, Found, Plugins
from lesionbench.testing.outcomes import run_checks

if TYPE_CHECKING:
    from lesionbench.pipeline.dataset import Dataset
    from lesionbench.pipeline.plugin import Plugin


def audit_split(
    dataset: str | Path | Dataset | ArrayImages,
    data: str | Path | None = None,
    *,
    images: str | Path | None = None,
    split: str | int | None = None,
    near: float = NEAR,
    run: str | Path | Run | None = None,
) -> SplitAudit:
    """Find images that have a twin in another part: of the same group, of the same pixels, or nearly so.

    Returns an audit with the DataFrames `.pairs`, `.twins` and `.leaderboard`; nothing is written unless you call its
    `.write(folder)`.
    dataset: a name, a dataset object, `lesionbench.images(...)`, or a CSV with the columns path, split and perhaps
        group and label.
    data: the dataset's folder.  images: the folder that the paths of a CSV are relative to.
    split: "official" or a number of folds.  near: the least similarity of near duplicates, 0.5 to 1.
    run: a finished run on these images, whose leaderboard is made again without the twins.
    Raises InputError when the arguments are wrong.
    """
    folder = run.folder if isinstance(run, Run) else given_folder("run", run)
    data, images = given_folder("data", data), given_folder("images", images)
    if isinstance(dataset, ArrayImages):
        refuse_folder(data)
        with tempfile.TemporaryDirectory() as kept:
            write_arrays(Path(kept), dataset.data)
            return audit_source(Arrays(), data=Path(kept), images=images, split=split, near=near, run=folder)
    named = isinstance(dataset, str | Path)
    source = split_source(str(dataset), Plugins.load()) if named else cast("Dataset", checked("dataset", dataset))
    return audit_source(source, data=data, images=images, split=split, near=near, run=folder)


def check(plugin: str | Plugin | type[Plugin], data: str | Path | None = None) -> pd.DataFrame:
    """Run the checks of the plugin contract: a row each, with kind, check, outcome (ok, FAILED, skipped) and reason.

    plugin: a name, a class, or an object; a class needs no package.  data: the folder that a dataset reads.
    """
    checked = Plugins.load().named(plugin) if isinstance(plugin, str) else [_found(plugin)]
    rows = [
        (found.kind, outcome.promise, outcome.status, outcome.reason or None)
        for found in checked
        for outcome in run_checks(found.kind, found.cls, data_for_checks(found, given_folder("data", data)))
    ]
    return pd.DataFrame(rows, columns=["kind", "check", "outcome", "reason"], dtype="string")


def _found(plugin: Plugin | type[Plugin]) -> Found:
    if isinstance(plugin, ArrayImages):
        raise SettingsError("check takes a plugin, but these are images; lesionbench.images checked them already")
    cls = plugin if isinstance(plugin, type) else type(plugin)
    for kind, base in BASES.items():
        if issubclass(cls, base):
            return Found(kind, getattr(cls, "name", cls.__name__), OWN, cls)
    raise SettingsError(f"a plugin is a subclass of Dataset, Augmenter or Classifier, and {cls.__name__} is none")
