"""`lesionbench.run`: run an experiment from Python, and go on with it where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.api.request import Settings, given_address, understand
from lesionbench.api.run_folder import Run
from lesionbench.experiment.session import Place, run_experiment
from lesionbench.report.progress import choose_view

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Unpack

    from lesionbench.api.images import ArrayImages
    from lesionbench.pipeline.dataset import Dataset


def run(
    dataset: str | Dataset | ArrayImages = "skin-phantom",
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    jobs: int | str | None = None,
    executor: str = "local",
    scheduler: str | None = None,
    timeout: str | float | None = None,
    quiet: bool = False,
    **settings: Unpack[Settings],
) -> Run:
    """Run every combination on the same splits, write every table into `out`, and return the run.

    What is finished is skipped: the same call goes on where an earlier one stopped.

    dataset: a name such as "folder[size=64]", a dataset object, or `lesionbench.images(array, labels, groups)`.
    data: the folder that the dataset reads.
    out: the output folder; by default runs/DATASET-SETTINGS.  store: where fits are kept; by default OUT/store.
    jobs: processes at a time; by default, or with "auto", the cores, or one on a GPU.
    executor, scheduler: "local", or "dask" with the address of a scheduler.  quiet: show no progress.
    timeout: how long one task may take, in seconds or as text such as "30m"; by default as long as it takes.
    settings: of the experiment: augmenters, synthetic (doses: synthetic images per class), classifiers, controls,
        on_the_fly, split, validation, seeds, classifier_seeds, seed, positive_class, device, precision, stack,
        baseline, margin, judged_by, operating_point. Plugins are names, with settings in brackets, or objects:
        augmenters=["classic", "dcgan[steps=500]", Mirror()].

    A cell that fails does not raise: see `Run.failed`. Raises InputError when the arguments are wrong, before anything
    is run; KeyboardInterrupt passes through, and what is finished is kept.
    """
    request = understand(dataset, data, settings)
    folder = request.folder(out)
    view = choose_view(quiet)
    place = Place(folder, given_address(store), jobs, executor, scheduler, timeout=timeout)
    with request.ready(folder) as experiment:
        try:
            run_experiment(request.plugins, experiment, place, view)
        except KeyboardInterrupt:
            view.say(f"stopped; what is finished in {folder} is kept. To go on, make the same call again")
            raise
    return Run(folder, request.plugins)
