"""What the benchmarks share: a folder with a small finished experiment."""

import subprocess
import sys

import pytest

EXPERIMENT = ("run", "--augmenter", "oversample", "--synthetic", "60", "--classifier", "kth-cnn[steps=20]")
EXPERIMENT = (*EXPERIMENT, "--seeds", "2", "--out", "o", "--quiet")


def lesionbench(*arguments, cwd):
    subprocess.run([sys.executable, "-m", "lesionbench", *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder in which the experiment above is finished."""
    folder = tmp_path_factory.mktemp("finished")
    lesionbench(*EXPERIMENT, cwd=folder)
    return folder
