"""What `--help` prints: commands and options in the order people need them, on 80 columns."""

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from lesionbench.cli.main import COMMANDS, app

PAGES = [[], *([name] for name in COMMANDS)]
PAGES += [["audit", "split"], ["audit", "samples"], ["audit", "fidelity"], ["data", "list"], ["data", "check"]]


def shown(*arguments):
    result = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_the_commands_stand_in_order_and_each_fits_its_line():
    lines = shown()
    listed = lines[lines.index("Commands:") + 1 :]

    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert not any(line.endswith("...") for line in listed)


def test_the_version_is_that_of_the_package():
    result = CliRunner().invoke(app, ["--version"])

    assert (result.exit_code, result.output) == (0, f"lesionbench {version('lesionbench')}\n")


@pytest.mark.parametrize("group", ["audit", "data"])
def test_the_commands_of_a_group_fit_their_lines(group):
    lines = shown(group)
    own = [line for line in lines[lines.index("Commands:") + 1 :] if "cut-rois" not in line]  # a plugin's

    assert not any(line.endswith("...") for line in own)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_80_columns(page):
    assert max(map(len, shown(*page))) <= 80


@pytest.mark.parametrize("command", ["run", "plan", "jobs"])
def test_what_everybody_needs_comes_first(command):
    options = [line.split()[0] for line in shown(command) if line.startswith("  --")]

    usual = [
        "--dataset",
        "--data",
        "--positive-class",
        "--augmenter",
        "--synthetic",
        "--classifier",
        "--seeds",
        "--split",
    ]
    assert options[: len(usual)] == usual
    assert options.index("--out") < options.index("--store") < options.index("--precision")
    assert len(options) == len(set(options))


def test_defaults_are_those_of_the_experiment_and_of_the_run():
    of_run = " ".join(" ".join(shown("run")).split())

    assert "The doses: synthetic images per class; repeat for more. [default: 480]" in of_run
    assert "[default: the run's]" in " ".join(shown("leaderboard"))
