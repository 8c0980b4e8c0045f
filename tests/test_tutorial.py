"""The tutorial runs from top to bottom, as a reader would run it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorial.ipynb"


def test_the_tutorial_is_stored_without_outputs():
    for cell in nbformat.read(TUTORIAL, 4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The cells with their outputs; an error in one of them is this fixture's error."""
    folder = tmp_path_factory.mktemp("tutorial")
    notebook = Path(shutil.copy(TUTORIAL, folder))
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", "--timeout=170", notebook]
    environment = {**os.environ, "TMPDIR": str(folder), "IPYTHONDIR": str(folder / "ipython")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return nbformat.read(notebook, 4).cells


def shown(cells, source):
    """The outputs of the cell whose source ends like this, as one text."""
    (cell,) = [cell for cell in cells if cell.cell_type == "code" and cell.source.endswith(source)]
    return "\n".join(str(output.get("data", output.get("text", ""))) for output in cell.outputs)


def test_every_cell_of_the_tutorial_runs_within_three_minutes(executed):
    assert all(cell.execution_count for cell in executed if cell.cell_type == "code")


def test_the_run_shows_its_progress_and_then_the_answer(executed):
    assert "30 of 30 cells done" in shown(executed, "jobs=2)\nrun")
    assert "classic@120: " in shown(executed, "jobs=2)\nrun")


def test_pictures_are_displayed(executed):
    assert "data:image/png;base64," in shown(executed, 'run.show("classic@120")')


def test_a_class_of_a_cell_runs_in_workers(executed):
    assert "mirror@60" in shown(executed, "own.verdicts")
