"""Joining runs: what a run of all arms would have given, or a message that names why not."""

import csv
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import CommandLine, CommandLineHere

from lesionbench.errors import OutputError
from lesionbench.experiment.environment import ENVIRONMENT
from lesionbench.experiment.output import settings_text
from lesionbench.report.merge import merge_lines
from lesionbench.runs.merge import merge
from lesionbench.store.digests import file_digest

BASE = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--seeds", 2)
BASE = (*BASE, "--jobs", 1)  # what two processes do is tested with runs
ARMS = {"a": ["--augmenter", "spy-copies"], "b": ["--augmenter", "oversample"]}
ARMS["ab"] = [*ARMS["a"], *ARMS["b"]]


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory, spy_package):
    """A folder with the runs `a` and `b` of one augmenter each, and `ab` of both."""
    command_line = CommandLineHere(tmp_path_factory.mktemp("runs"), (spy_package,))
    for name, augmenters in ARMS.items():
        command_line(*BASE, *augmenters, "--synthetic", "5,12", "--out", name)
    return command_line


@pytest.fixture
def runs(three_runs, tmp_path, monkeypatch):
    """Copies of `a` and `b` in the working folder."""
    for name in ("a", "b"):
        shutil.copytree(three_runs.cwd / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return [Path("a"), Path("b")]


def files(folder, pattern):
    return {path.relative_to(folder): path.read_bytes() for path in folder.glob(pattern) if path.is_file()}


def test_a_merged_run_has_the_very_tables_of_a_run_of_all_arms(three_runs, runs):
    merged = merge(runs, Path("m"))

    whole = three_runs.cwd / "ab"
    for pattern in ("predictions/*", "*.csv", "confusion/*", "experiment.toml", "samples/*"):
        expected = {name: data for name, data in files(whole, pattern).items() if name.name != "cells.csv"}
        found = {name: data for name, data in files(Path("m"), pattern).items() if name.name != "cells.csv"}
        assert found == expected, pattern
    assert (merged.cells, merged.common, merged.failed, merged.waiting, merged.not_stored) == (10, 2, 0, 0, 0)
    assert {"2 runs joined, 10 cells. 2 cells of several runs had the same predictions, byte"} <= {*merge_lines(merged)}


def test_a_merged_run_is_a_run_with_nothing_left_to_do(three_runs, runs):
    mask = os.umask(0o027)
    merge(runs, Path("m"))
    os.umask(mask)
    assert stat.filemode(Path("m").stat().st_mode) == "drwxr-x---"
    before = files(Path("m"), "*.csv")
    here = CommandLine(Path.cwd(), three_runs.packages)

    assert "10 done, 0 to do" in here("plan", "m").stdout
    here("run", "m")
    here("audit", "samples", "m")

    after = files(Path("m"), "*.csv")
    assert {name: after[name] for name in before if name.name != "cells.csv"} == {
        name: data for name, data in before.items() if name.name != "cells.csv"
    }
    rows = list(csv.DictReader(io.StringIO(after[Path("cells.csv")].decode())))
    assert {row["classifier_from_store"] for row in rows} == {"yes"}


def test_other_doses_are_joined_without_new_cells(runs):
    settings(without="oversample-12", synthetic=[5])(Path("b"))

    merged = merge(runs, Path("m"))

    assert [(row["augmenter"], row["synthetic_per_class"]) for row in merged.tables.leaderboard] == [
        ("none", 0),
        ("spy-copies", 5),
        ("spy-copies", 12),
        ("oversample", 5),
    ]
    assert merged.waiting == 0


def test_a_cell_that_no_run_has_waits(runs):
    for name in ("oversample-12_spy-centroids_fold0_seed1", "oversample-5_spy-centroids_fold0_seed1"):
        (Path("b") / "predictions" / f"{name}.csv").unlink()
        edit(Path("b") / "cells.csv", f"{name},done", f"{name},waiting")

    merged = merge(runs, Path("m"))

    assert merged.waiting == 2
    assert merge_lines(merged)[-1] == "To make them: lesionbench run m"


def test_a_damaged_entry_of_a_store_is_left_behind_and_its_cell_counted(runs):
    damaged = []
    for kind in ("predictions", "pools"):
        one, other = ({entry.name for entry in (run / "store" / kind).iterdir()} for run in runs)
        damaged.append(runs[1] / "store" / kind / min(other - one))  # what both runs made is taken from the other one
    (damaged[0] / "manifest.json").write_text("{")
    (damaged[1] / "inputs.json").write_text("{")

    merged = merge(runs, Path("m"))

    assert merged.not_stored == 1
    assert not (Path("m") / "store" / "predictions" / damaged[0].name).exists()


def test_runs_that_share_a_store_go_on_sharing_it(three_runs, tmp_path):
    here = CommandLineHere(tmp_path, three_runs.packages)
    for name in ("a", "b"):
        here(*BASE, *ARMS[name], "--synthetic", 5, "--seeds", 1, "--store", tmp_path / "s", "--out", name)

    here("merge", "a", "b", "--out", "m")

    assert f'store = "{tmp_path / "s"}"' in (tmp_path / "m" / "experiment.toml").read_text()
    assert not (tmp_path / "m" / "store").exists()


def edit(path, old, new):
    text = path.read_text()
    assert old in text, path
    path.write_text(text.replace(old, new, 1))


def settings(without="", **changes):
    """A change of settings in experiment.toml, as if the run had had them; `without` marks cells that it had not."""

    def edited(run):
        noted = tomllib.loads((run / "experiment.toml").read_text())
        found = noted.pop("resolved")
        (run / "experiment.toml").write_text(settings_text({**noted, **changes}, found))
        lines = (run / "cells.csv").read_text().splitlines(keepends=True)
        (run / "cells.csv").write_text("".join(line for line in lines if not without or without not in line))

    return edited


def resolved(**changes):
    def edited(run):
        noted = tomllib.loads((run / "experiment.toml").read_text())
        found = noted.pop("resolved")
        (run / "experiment.toml").write_text(settings_text(noted, {**found, **changes}))

    return edited


def environment(change):
    def edited(run):
        found = json.loads((run / ENVIRONMENT).read_text())
        change(found)
        (run / ENVIRONMENT).write_text(json.dumps(found))

    return edited


def other_scores(run):
    """The predictions of a cell that both runs have, changed together with their checksum."""
    path = run / "predictions" / "none_spy-centroids_fold0_seed1.csv"
    digest = file_digest(path)
    lines = path.read_text().splitlines(keepends=True)
    last = lines[-1].rstrip("\n").split(",")
    lines[-1] = ",".join([*last[:-2], last[-1], last[-2]]) + "\n"
    path.write_text("".join(lines))
    edit(run / "cells.csv", digest, file_digest(path))


REFUSED = {
    "version of numpy: .* in a, 1.0 in b": environment(lambda found: found["libraries"].update({"numpy": "1.0"})),
    "the code of the classifier spy-centroids": environment(lambda found: found["plugins"][-1].update({"code": "x"})),
    "the module lesionbench.experiment.cell": environment(
        lambda found: found["modules"].update({"lesionbench.experiment.cell": "x"})
    ),
    r"the files that the classifier spy-centroids\S* reads": environment(
        lambda found: found["plugins"][-1].update({"files": ["x"]})
    ),
    "the training images": environment(lambda found: found["data"].update({"training_images": ["x"]})),
    "device: cpu in a, cuda in b": environment(lambda found: found.update({"device": "cuda"})),
    "precision: fp32 in a, bf16 in b": environment(lambda found: found.update({"precision": "bf16"})),
    "validation: 0.2 in a, 0.3 in b": settings(validation=0.3),
    "positive_class: b in a, a in b": settings(positive_class="a"),
    r"the division of the images \(splits.csv\)": lambda run: edit(run / "splits.csv", "dot1,0", "dot1,9"),
    "the files of the data": resolved(sources="x"),
    r"different base seeds \(0 and 7\), which cannot be joined; run both with seed=0": settings(seed=7),
    r"seeds: 2 in a, 1 in b.*lesionbench run b/experiment.toml seeds=2 store=": settings(without="_seed2", seeds=1),
    "different predictions for the same cell none_spy-centroids_fold0_seed1": other_scores,
    "there is no environment.json in b": lambda run: (run / ENVIRONMENT).unlink(),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_makes_arms_incomparable_is_named_and_nothing_is_written(runs, message):
    REFUSED[message](runs[1])

    with pytest.raises(OutputError, match=f"(?s){message}"):
        merge(runs, Path("m"))

    assert sorted(path.name for path in Path().iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (environment(lambda found: found.update({"processor": "Another"})), "processor: .* in a, Another in b"),
        (environment(lambda found: found.update({"python": "CPython 3.99"})), "python: .* in a, CPython 3.99 in b"),
        (settings(margin=0.05), "margin: 0.02 in a, which is us"),
    ],
)
def test_what_only_rounds_or_judges_differently_is_told(runs, change, told):
    change(runs[1])

    words = " ".join(" ".join(merge_lines(merge(runs, Path("m")))).split())

    assert re.search(told, words)


@pytest.mark.parametrize(
    ("folders", "out", "message"),
    [
        (["a"], "m", "two or more runs"),
        (["a", "a"], "m", "each named once"),
        (["a", "b"], "b", "but b holds files"),
        (["a", "b"], "a/m", "must be outside the runs"),
        (["a", "none"], "m", "none holds no experiment"),
    ],
)
def test_folders_that_cannot_be_joined_are_refused(runs, folders, out, message):
    with pytest.raises(OutputError, match=message):
        merge([Path(folder) for folder in folders], Path(out))


def test_what_a_killed_merge_left_is_removed_by_the_next_one(three_runs, runs):
    stop = "import os, signal; from lesionbench.runs import merge; "
    stop += "merge._join_stores = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
    stop += "from lesionbench.cli.main import main; main()"
    here = CommandLine(Path.cwd(), three_runs.packages)
    command = [here.command()[0], "-c", stop, "merge", "a", "b", "--out", "m"]
    killed = subprocess.run(command, env=here.env(), capture_output=True, check=False)
    left = [path.name for path in Path.cwd().iterdir() if path.name.startswith(".m-")]

    merge(runs, Path("m"))

    assert killed.returncode == -signal.SIGKILL
    assert len(left) == 1
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["a", "b", "m"]
