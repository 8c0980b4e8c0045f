"""What an error says to do about it is written as its reader writes settings."""

import pickle
import re
from pathlib import Path

import pytest

import lesionbench
from lesionbench.cli.options import typed
from lesionbench.errors import ANOTHER_OUT, OutputError, SplitError, Try

SOURCE = Path(lesionbench.__file__).parent
OPTION = re.compile(r"""(?<![\w-])--[a-z]""")
REASONS = {  # texts that stand in the column `reason` of a CSV file, where they stay as they are
    "evidence/tables/variance.py",
    "evidence/tables/dose_response.py",
    "evidence/statistics/verdict.py",
    "audit/extractors.py",
}
OTHER_PROGRAMS = {  # options of sbatch, git and dask
    "runs/array_script.py",
    "experiment/environment.py",
    "workers/dask_cluster.py",
}


def test_an_error_reads_as_python_and_as_the_command_line():
    error = SplitError("a group may stand on one side", Try("{split} makes folds that keep groups apart", split=5))

    assert str(error) == "a group may stand on one side; split=5 makes folds that keep groups apart"
    assert error.written(typed) == "a group may stand on one side; --split 5 makes folds that keep groups apart"


@pytest.mark.parametrize(
    ("advice", "python", "command_line"),
    [
        (ANOTHER_OUT, "choose another out", "choose another --out"),
        (Try("name {data}", data=Path("my images")), "name data='my images'", "name --data 'my images'"),
        (Try("leave out {on_the_fly}", on_the_fly="classic"), "leave out on_the_fly='classic'",
         "leave out --on-the-fly classic"),
        (Try("use {augmenters}", augmenters="dcgan"), "use augmenters='dcgan'", "use --augmenter dcgan"),
    ],
)  # fmt: skip
def test_advice_names_a_setting_the_way_it_is_typed(advice, python, command_line):
    assert str(OutputError("no", advice)) == f"no; {python}"
    assert OutputError("no", advice).written(typed) == f"no; {command_line}"


def test_advice_on_a_list_of_problems_has_a_line_of_its_own():
    assert str(OutputError("two files:\n  a\n  b", Try("list them"))) == "two files:\n  a\n  b\nlist them"


def test_an_error_comes_back_from_a_worker_with_its_advice():
    error = pickle.loads(pickle.dumps(OutputError("no", ANOTHER_OUT)))

    assert str(error) == "no; choose another out"


def test_nothing_below_the_command_line_names_an_option():
    naming = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if file.parent.name != "cli" and OPTION.search(file.read_text())
    }

    assert naming == REASONS | OTHER_PROGRAMS
