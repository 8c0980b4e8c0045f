"""Plugin classes of a notebook: their digest changes with what they do and with nothing else."""

import linecache
import subprocess
import sys
from itertools import count

import pytest

from lesionbench.audit.stored_pools import stored_pools
from lesionbench.builtin.controls import Noise
from lesionbench.errors import PluginError, SettingsError
from lesionbench.experiment.own_code import code_of, pack
from lesionbench.experiment.settings import load_experiment
from lesionbench.plugins import Plugins

CELL = '''
import numpy as np
from lesionbench import Augmenter
from lesionbench.torchkit.tensors import to_images

UNUSED = 1
SHIFT = 3


def rolled(images, by=SHIFT):
    """Moved."""
    return np.roll(images, by, 2)  # to the right


class Sampler:
    def __init__(self, train):
        self.train = train

    def sample(self, label, count, seed):
        return rolled(self.train.of_class(label))[[0] * count]


class Mirror(Augmenter):
    """Images, moved."""

    name = "mirror"
    strength: int = 1

    def fit(self, train, context):
        """A sampler."""
        return Sampler(train)
'''
NUMBERS = count()


def defined(code):
    """The names that a notebook cell with this code defines."""
    file = f"<cell {next(NUMBERS)}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    names = {"__name__": "__main__"}
    exec(compile(code, file, "exec"), names)
    return names


def digest(old="", new=""):
    assert old in CELL
    return code_of(defined(CELL.replace(old, new))["Mirror"]).digest


def test_the_same_code_has_the_same_digest():
    assert digest() == digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # to the right", ""),
        ("Images, moved.", "Another sentence."),
        ('"""A sampler."""', '"""What fit returns."""'),
        ("UNUSED = 1", "UNUSED = 2"),
        ("\n\n\ndef rolled", "\n\nOTHER = 1\n\n\ndef rolled"),
    ],
)
def test_words_and_what_is_not_used_keep_the_digest(old, new):
    assert digest(old, new) == digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SHIFT = 3", "SHIFT = 4"),
        ("by, 2", "by, 1"),
        ("[0] * count", "[1] * count"),
        ("strength: int = 1", "strength: int = 2"),
        ("import numpy as np", "import numpy.random as np"),
        ("return Sampler(train)", "return Sampler(train.take(train.labels == 0))"),
    ],
)
def test_a_change_of_the_class_or_of_what_it_uses_changes_the_digest(old, new):
    assert digest(old, new) != digest()


def test_the_value_that_a_function_closes_over_is_in_the_digest():
    made = "def make(step):\n" + "".join(f"    {line}\n" for line in CELL.splitlines()) + "    return Mirror\n"
    names = defined(made.replace("by=SHIFT", "by=step"))

    assert code_of(names["make"](1)).digest != code_of(names["make"](2)).digest


def test_a_class_of_a_package_has_no_digest_of_its_own():
    assert code_of(Noise) is None


def adopted(code):
    plugins = Plugins.load()
    plugins.adopt("augmenter", defined(code)["Mirror"])
    return plugins


def test_a_class_without_readable_source_is_refused():
    plugins = Plugins.load()
    names = {"__name__": "__main__"}
    exec(CELL, names)
    plugins.adopt("augmenter", names["Mirror"])

    with pytest.raises(PluginError, match="the source of Mirror cannot be read"):
        pack(plugins)


def test_a_class_that_uses_what_cannot_be_sent_is_refused_by_its_name():
    code = CELL.replace("SHIFT = 3", "import threading\nSHIFT = threading.Lock()")

    with pytest.raises(
        PluginError, match=r"Mirror uses 'default 0 of rolled', which cannot be sent .*create it inside `fit`"
    ):
        pack(adopted(code))


def test_a_class_that_uses_a_large_array_is_refused():
    code = CELL.replace("SHIFT = 3", "SHIFT = np.zeros(30_000_000, np.uint8)")

    with pytest.raises(PluginError, match="20 MB at most, but Mirror and what they use are 30 MB"):
        pack(adopted(code))


def test_a_class_with_the_name_of_an_installed_plugin_is_refused():
    with pytest.raises(PluginError, match="is called 'noise', which is the augmenter of lesionbench"):
        adopted(CELL.replace('"mirror"', '"noise"'))


SCRIPT = f"""{CELL}
import lesionbench

run = lesionbench.run(
    "skin-phantom[train=60,test=20]", augmenters=[Mirror(strength=2), "mirror[strength=2]+oversample"],
    synthetic=4, classifiers="linear", seeds=1, out="run", jobs=1, quiet=True,
)
assert run.finished, run.failed["error"].tolist()
"""


def test_a_class_of_a_script_runs_in_workers_and_its_fits_are_found_by_other_processes(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

    monkeypatch.chdir(tmp_path)
    again = defined(SCRIPT)["run"]

    assert again.cells["augmenter_from_store"].dropna().all()
    with pytest.raises(SettingsError, match="'mirror' was defined in a notebook or a script and is not installed"):
        load_experiment(tmp_path / "run" / "experiment.toml", {}, Plugins.load())
    with pytest.raises(SettingsError, match="'mirror' was defined in a notebook or a script and is not installed"):
        list(stored_pools(tmp_path / "run", Plugins.load()))
