"""The results as a file, and as tables in the pages that show them."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lesionbench import __version__
from lesionbench.experiment.machine import processor
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.settings import make_experiment
from lesionbench.plugins import Plugins

if TYPE_CHECKING:
    from pairs import Options

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.json"
BEGIN, END = "<!-- make bench writes from here -->\n", "<!-- to here -->\n"
LIBRARIES = ("torch", "torchvision", "numpy", "albumentations")
MAIN_ROWS = ("dcgan-kth", "kth-cnn", "resnet18", "whole-run")  # of the README


def about_this_run(options: Options) -> dict[str, Any]:
    """Date, machine, versions and settings of the measurements."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "precision": options.precision,
        "pairs": options.pairs,
        "versions": {
            "lesionbench": __version__,
            "Python": platform.python_version(),
            **{library: version(library) for library in LIBRARIES},
        },
    }


def precision_here() -> str:
    """The precision that a run has on this machine when none is named."""
    plugins = Plugins.load()
    experiment = make_experiment({"dataset": "skin-phantom[size=16,train=40,test=10]"}, plugins)
    with TemporaryDirectory() as folder:
        return prepare(experiment, plugins, Path(folder)).precision


def keep(about: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    """Write results.json, and the tables into their pages."""
    results = {**about, "rows": rows}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for path, render in PAGES.items():
        path.write_text(with_table(path.read_text(encoding="utf-8"), render(results)), encoding="utf-8")


def with_table(text: str, table: str) -> str:
    """A page with this table between its two markers."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table + END + rest.partition(END)[2]


def whole_table(results: dict[str, Any]) -> str:
    """Every row with both ratios, and below it what each reference does."""
    says: dict[str, int] = {}
    lines = ["| | reference | lesionbench | times as fast | by processor time | of the matrix rate |"]
    lines.append("|---|---|---|---|---|---|")
    for found in results["rows"].values():
        number = says.setdefault(found["says"], len(says) + 1) if found["says"] else None
        share = found["ours"].get("share")
        cells = [
            f"{found['title']} [{number}]" if number else found["title"],
            _value(found, "reference"),
            _value(found, "ours"),
            *(_ratio(found, kind) for kind in ("wall", "processor")),
            f"{share:.0%}" if share else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"{number}. {sentence}." for sentence, number in says.items())]
    return _measured(results) + "\n".join(lines) + "\n"


def main_lines(results: dict[str, Any]) -> str:
    """The rows that most people ask for."""
    lines = ["| | times as fast | by processor time |", "|---|---|---|"]
    rows = [results["rows"][name] for name in MAIN_ROWS if name in results["rows"]]
    lines += [f"| {found['title']} | {_ratio(found, 'wall')} | {_ratio(found, 'processor')} |" for found in rows]
    return _measured(results) + "\n".join(lines) + "\n"


def _measured(results: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"Measured on {results['date']} on {results['cores']} cores of {results['processor']} "
        f"in {results['precision']}, {results['pairs']} pairs; {versions}.\n\n"
    )


def line(name: str, found: dict[str, Any]) -> str:
    """A row on the screen."""
    share = found["ours"].get("share")
    of_rate = f"  {share:.0%} of the matrix rate" if share else ""
    ratios = f"  x {_ratio(found, 'wall')} (processor x {_ratio(found, 'processor')})" if "ratio" in found else ""
    return f"{name:18} reference {_value(found, 'reference'):>14}  ours {_value(found, 'ours'):>14}{ratios}{of_rate}"


def _value(found: dict[str, Any], side: str) -> str:
    if not found[side]:
        return ""
    seconds = found[side]["wall"]
    return f"{seconds:.3g} s" if found["unit"] == "s" else f"{1 / seconds:,.0f} {found['unit']}"


def _ratio(found: dict[str, Any], kind: str) -> str:
    return f"{found['ratio'][kind]:.2f}" if "ratio" in found else ""


PAGES = {ROOT / "docs" / "speed.md": whole_table, ROOT / "README.md": main_lines}
