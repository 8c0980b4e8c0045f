"""Every command in a new process, as a user types it; the other tests call the command line in their own process."""

import errno
import os
import shlex
import subprocess

import pytest
from conftest import CommandLine, CommandLineHere

from lesionbench.cli import main

DATASET = "skin-phantom[size=32,train=48,test=20]"
RUN = ("run", "--dataset", DATASET, "--classifier", "linear", "--augmenter", "oversample", "--validation", 0.3)


@pytest.fixture(scope="module")
def in_a_new_process(tmp_path_factory):
    """The command line in a folder with a finished run, `o`."""
    folder = tmp_path_factory.mktemp("processes")
    CommandLineHere(folder)(*RUN, "--synthetic", 6, "--seeds", 1, "--jobs", 1, "--out", "o")
    return CommandLine(folder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "--dataset", DATASET, "--classifier", "linear", "--like", "o", "--out", "p"), "accuracy"),
        (("leaderboard", "o"), "oversample"),
        (("explain", "o", "none_linear_fold0_seed1"), "none_linear_fold0_seed1: done"),
        (("reproduce", "o", "--check"), "the environment is the same"),
        (("audit", "split", DATASET), "split"),
        (("audit", "samples", "o"), "oversample"),
        (("audit", "fidelity", "o"), "features of linear"),
        (("data", "list"), "skin-phantom"),
        (("data", "check", DATASET), "positive malignant"),
        (("plugins", "oversample"), "augmenter oversample"),
        (("check", "oversample"), " 0 failed"),
    ],
    ids=lambda given: " ".join(given[:2]) if isinstance(given, tuple) else "",
)
def test_a_command_needs_nothing_that_another_has_imported(in_a_new_process, arguments, said):
    assert said in in_a_new_process(*arguments).stdout


def test_a_wrong_setting_ends_a_process_with_status_2(in_a_new_process):
    refused = in_a_new_process("plan", "--dataset", DATASET, "--augmenter", "dcgna", status=2)

    assert refused.stderr.startswith("lesionbench: no augmenter 'dcgna' is installed")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_closed_output_is_no_error(in_a_new_process, closed):
    command = shlex.join(in_a_new_process.command("leaderboard", "o"))
    given = {"cwd": in_a_new_process.cwd, "env": in_a_new_process.env()}
    done = subprocess.run(f"{command} {closed}", shell=True, capture_output=True, text=True, timeout=600, **given)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("oversample" in done.stdout) == (closed == "2>&-")


def test_a_full_disk_says_what_to_do(monkeypatch, capsys):
    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(main, "app", full)

    with pytest.raises(SystemExit) as ended:
        main.main()

    assert ended.value.code == 2
    assert "No space left on device; make room on the disk of the output, the store" in capsys.readouterr().err


INTERRUPTED = """
import os, signal, sys
wanted, seen = int(sys.argv.pop(1)), 0

def interrupt(event, arguments):
    global seen
    seen += event == "import" and "lesionbench.cli" in sys.modules
    if event == "import" and seen == wanted:
        os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.addaudithook(interrupt)
from lesionbench.__main__ import main
main()
"""


@pytest.mark.parametrize("moment", [1, 60, 250, 500])  # how many modules were imported before
def test_ctrl_c_while_modules_are_imported_is_at_most_one_line(tmp_path, moment):
    python, *_ = CommandLine(tmp_path).command()
    command = [python, "-c", INTERRUPTED, str(moment), "plan", "--dataset", DATASET, "--out", "p"]

    stopped = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)

    assert stopped.returncode == 130
    assert stopped.stdout == ""
    assert stopped.stderr.strip() in ("", "lesionbench: stopped")
