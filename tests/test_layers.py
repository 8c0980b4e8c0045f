"""The folders know each other in one direction only."""

import ast
import re
import sys
from pathlib import Path

import pytest

import lesionbench

SOURCE = Path(lesionbench.__file__).parent
SENTENCE = ["images", "plugin", "context", "dataset", "split", "augmenter", "training_set", "classifier"]
SENTENCE += ["predictions", "metrics", "arm", "leaderboard"]
LOW = {"errors", "image_files", "spelling", "tables"}
OUTSIDE = {"given_files", "plain_text"}  # what somebody else made
MAY_KNOW = {
    "errors": set(),
    "given_files": set(),
    "plain_text": set(),
    "hookspecs": {"pipeline"},
    "image_files": {*OUTSIDE, "errors", "pipeline"},
    "spelling": {"plain_text", "errors", "pipeline"},
    "tables": {"given_files", "errors"},
    "plugins": {"errors", "spelling", "hookspecs", "pipeline", "builtin"},
    "pipeline": {*OUTSIDE, "errors", "pipeline"},
    "torchkit": {"errors", "pipeline", "torchkit"},
    "pictures": {"pipeline", "pictures"},
    "builtin": {*OUTSIDE, *LOW, "hookspecs", "pipeline", "builtin"},
    "testing": {"errors", "pipeline", "plugins", "testing", "workers"},
    "evidence": {"given_files", "errors", "pipeline", "evidence"},
    "store": {"errors", "store"},
    "workers": {"errors", "pipeline", "spelling", "workers"},
    "experiment": {*OUTSIDE, "errors", "spelling", "pipeline", "pictures", "evidence", "plugins", "store", "workers"}
    | {"experiment", "__version__"},
    "runs": {
        *OUTSIDE,
        "errors",
        "spelling",
        "pipeline",
        "evidence",
        "plugins",
        "store",
        "workers",
        "experiment",
        "runs",
    }
    | {"__version__"},
    "audit": {*OUTSIDE, *LOW, "pipeline", "pictures", "evidence", "plugins", "store", "experiment", "audit"},
    "report": {
        "plain_text",
        "errors",
        "spelling",
        "pipeline",
        "evidence",
        "store",
        "experiment",
        "runs",
        "audit",
        "report",
    },
    "api": {
        *OUTSIDE,
        "errors",
        "spelling",
        "pipeline",
        "evidence",
        "plugins",
        "store",
        "experiment",
        "builtin",
        "report",
    }
    | {"api", "audit", "testing"},
    "cli": {
        "plain_text",
        "errors",
        "pipeline",
        "plugins",
        "store",
        "experiment",
        "runs",
        "audit",
        "testing",
        "report",
        "workers",
        "cli",
    },
}


def imports(file, run_time_only=False):
    """The lesionbench modules that a file imports, as dotted names below lesionbench."""
    tree = ast.parse(file.read_text())
    skipped = set()
    if run_time_only:
        guards = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ]
        skipped = {id(inner) for guard in guards for inner in ast.walk(guard)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and id(node) not in skipped
            and (node.module or "").startswith("lesionbench")
        ):
            module = node.module.removeprefix("lesionbench").lstrip(".")
            yield from [module] if module else [alias.name for alias in node.names]


def files_of(room):
    """The files of a folder, or the one file of that name."""
    folder = SOURCE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


@pytest.mark.parametrize("room", MAY_KNOW)
def test_a_folder_imports_only_what_it_may_know(room):
    for file in files_of(room):
        for module in imports(file):
            assert module.partition(".")[0] in MAY_KNOW[room], f"{file.name} imports {module}"


def test_every_file_of_the_source_is_in_one_of_the_rooms():
    in_rooms = {file for room in MAY_KNOW for file in files_of(room)}

    assert {SOURCE / "__init__.py", SOURCE / "__main__.py"} == set(SOURCE.rglob("*.py")) - in_rooms


def test_the_command_line_only_parses_calls_and_prints():
    """It knows typer and the functions of other folders; arrays, tables, stores and evidence are their business."""
    known = {"typer", *sys.stdlib_module_names}
    closed = (
        "experiment.bench",
        "store.store",
        "store.entry",
        "experiment.keys",
        "experiment.runner",
        "experiment.results",
    )
    for file in (SOURCE / "cli").glob("*.py"):
        code = ast.parse(file.read_text())
        modules = [node.module or "" for node in ast.walk(code) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in ast.walk(code) if isinstance(node, ast.Import) for alias in node.names]
        foreign = {name.partition(".")[0] for name in modules} - known - {"lesionbench"}
        assert not foreign, f"{file.name} imports {foreign}"
        assert not [module for module in imports(file) if module.startswith(closed)], file.name
        assert not [node for node in ast.walk(code) if isinstance(node, ast.Name) and node.id == "locals"], file.name


def test_a_module_of_the_pipeline_imports_only_from_its_own_left():
    for file in (SOURCE / "pipeline").glob("*.py"):
        if file.stem == "__init__":
            continue
        left = SENTENCE[: SENTENCE.index(file.stem)]
        for module in imports(file, run_time_only=True):
            if module.startswith("pipeline."):
                assert module.removeprefix("pipeline.") in left, f"{file.name} imports {module}"


def test_only_predict_is_given_test_images():
    """In the code that runs an experiment, `split.test` stands only in the line that predicts."""
    lines = [line for file in files_of("experiment") for line in file.read_text().splitlines()]
    using = [line for line in lines if re.search(r"split\S*\.test\b", line) and "`" not in line]

    assert len(using) == 1
    assert "predictor.predict(split.test.images)" in using[0]
