"""`lesionbench audit`: can the numbers be believed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Audit a split, synthetic images, or their fidelity.", no_args_is_help=True)


@app.command()
def split(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="NAME or NAME[key=value,...], or a CSV with the columns path, split and perhaps group.",
        ),
    ],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder that holds the dataset's files.")] = None,
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
    ] = 0.85,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A finished run: its leaderboard without the leaking images.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The output folder. [default: runs/audit-DATASET]", show_default=False),
    ] = None,
) -> None:
    """Find images that have a twin in another part of the split.

    Twins are of the same group, have the same pixels, or nearly the same.
    """
    from lesionbench.audit.split import audit_folder, audit_split, split_source
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.report.twins import split_lines

    source = split_source(dataset, Plugins.load())
    folder = out or audit_folder(source)
    audit = audit_split(source, data=data, images=images, split=split, near=near, run=run, out=folder)
    files = audit.write(folder)
    say([*split_lines(audit), *map(str, files)])


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
    """Measure how real and how diverse synthetic images are.

    Every measure stands beside what real images score in their place.
    """
    from lesionbench.audit.fidelity import audit_fidelity
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.report.fidelity import print_fidelity

    folder = out or run
    audit = audit_fidelity(run, Plugins.load(), features=features, seed=seed, out=folder)
    files = audit.write(folder)
    print_fidelity(audit)
    say(map(str, files))


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
    """Find synthetic images that are copies of training images.

    Distances to training images stand beside those of held-out real images.
    """
    from lesionbench.audit.samples import audit_samples
    from lesionbench.cli.options import typed
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.report.samples import print_samples

    folder = out or run
    audit = audit_samples(run, Plugins.load(), false_alarms=false_alarms, out=folder)
    files = audit.write(folder)
    print_samples(audit, typed)
    say(map(str, files))
