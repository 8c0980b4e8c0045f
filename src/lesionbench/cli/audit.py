"""`lesionbench audit`: can the numbers be believed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NEAR = 0.85  # the least similarity of near duplicates; what it finds on real images is in the reference

app = typer.Typer(help="Audit a split, synthetic images, or their fidelity.", no_args_is_help=True)


@app.command()
def split(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="NAME or NAME[key=value,...], or a CSV with the columns path, split and group."
        ),
    ],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder the dataset reads.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What the paths of a CSV are relative to. [default: the CSV's folder]"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="official|K", help="The dataset's own test set, or K group-wise folds. [default: the run's]"
        ),
    ] = None,
    near: Annotated[
        float, typer.Option(metavar="R", min=0.5, max=1.0, help="The least similarity of near duplicates.")
    ] = NEAR,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A finished run: its leaderboard without the leaking images.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The output folder. [default: runs/audit-DATASET]", show_default=False),
    ] = None,
) -> None:
    """Find test images that have a twin in train: of the same group, the same pixels, or nearly so."""
    from lesionbench.audit.split import SplitAudit, audit_split

    audit_split(SplitAudit(dataset, data, images, split, near, run, out))


@app.command()
def fidelity(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.")],
    features: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A network that gives the features. [default: the baseline classifier]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where fidelity.csv is written. [default: RUN]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The seed of every random choice.")] = 0,
) -> None:
    """Measure how real and how diverse the synthetic images of a run are, beside what real images score."""
    from lesionbench.audit.fidelity import audit_fidelity
    from lesionbench.plugins import Plugins

    audit_fidelity(Plugins.load(), run, out or run, features, seed)


@app.command()
def samples(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.")],
    false_alarms: Annotated[
        float, typer.Option(metavar="RATE", help="How often a new real image may be called a copy.")
    ] = 0.01,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the tables are written. [default: RUN]")
    ] = None,
) -> None:
    """Find synthetic images that are copies of training images, beside what held-out real images score."""
    from lesionbench.audit.samples import audit_samples
    from lesionbench.plugins import Plugins

    audit_samples(Plugins.load(), run, out or run, false_alarms)
