"""Plugin classes of a notebook: their digest changes with what they do and with nothing else."""

import linecache
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from lesionbench.audit.stored_pools import stored_pools
from lesionbench.builtin.controls import Noise
from lesionbench.errors import PluginError, SettingsError
from lesionbench.experiment.code_digest import read_again
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


def defined(code, names=None):
    """The names that there are after a notebook cell with this code."""
    file = f"<cell {next(NUMBERS)}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    names = {"__name__": "__main__"} if names is None else names
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


HEAD = "import numpy as np\nfrom lesionbench import Augmenter\n"
MIRROR = """
class Mirror(Augmenter):
    name = "mirror"
    def fit(self, train, context):
        return {}
"""
WRAPS = "from functools import wraps\ndef d(f):\n    @wraps(f)\n    def w(*a): return f(*a) + 1\n    return w\n"
CLOSURES = "def mk(k):\n    def f(): return k\n    return f\none, two = mk(1), mk(2)\n"
PARENT = "class Parent(Augmenter):\n    name = 'parent'\n    def fit(self, train, context): return 1\n"
CHILD = "class Mirror(Parent):\n    name = 'mirror'\n    def again(self): return 0\n"


def digest_of(*cells):
    """The digest of `Mirror` after these notebook cells."""
    names = {"__name__": "__main__"}
    for code in cells:
        defined(code, names)
    read_again()
    return code_of(names["Mirror"]).digest


@pytest.mark.parametrize(
    ("use", "code", "old", "new"),
    [
        ("h()", "from contextlib import contextmanager\n@contextmanager\ndef h(): yield 1\n", "yield 1", "yield 2"),
        ("h()", WRAPS + "@d\ndef h(): return 1\n", "return 1", "return 2"),
        ("h()", WRAPS + "@d\ndef h(): return 1\n", "f(*a) + 1", "f(*a) + 2"),
        ("f(1)", "f, g = lambda x: x + 1, lambda x: x * 2\n", "x + 1", "x + 5"),
        ("one() + two()", CLOSURES, "mk(2)", "mk(3)"),
        ("h()", "def h(): return h.k\nh.k = 1\n", "h.k = 1", "h.k = 2"),
        ("H().f()", "class H:\n    a = 1\n    def f(self): return self.a\nH.a = 2\n", "H.a = 2", "H.a = 3"),
    ],
    ids=[
        "decorated by a library",
        "decorated",
        "decorator",
        "one of two lambdas of a line",
        "one name in two functions",
        "set on a function",
        "set on a class",
    ],
)
def test_a_change_of_a_helper_changes_the_digest(use, code, old, new):
    code = HEAD + code + MIRROR.format(use)
    assert digest_of(code) == digest_of(code) != digest_of(code.replace(old, new))


def test_the_parent_that_a_class_has_counts_and_not_the_one_of_its_name():
    edited = PARENT.replace("return 1", "return 2")
    assert digest_of(HEAD + PARENT, CHILD, edited) != digest_of(HEAD + PARENT, CHILD, edited, CHILD)


@pytest.mark.parametrize(
    ("name", "head", "body"),
    [
        ("own_a", "", "import own_a\n        return own_a.f()"),
        ("own_b", "import own_b as _m\nL = [_m.f]\n", "return L[0]()"),
        ("own_c", "import own_c as _m\nfrom functools import partial\np = partial(_m.f)\n", "return p()"),
        ("own_d", "import own_d as _m\nn = _m.N()\n", "return n.g()"),
        ("own_e/sub", "import own_e.sub\n", "return own_e.sub.f()"),
        ("own_f", "from own_f import cached\n", "return cached()"),
    ],
    ids=["imported in fit", "in a list", "in a partial", "an instance", "by its dotted name", "cached"],
)
def test_an_edited_module_beside_the_notebook_changes_the_digest(tmp_path, monkeypatch, name, head, body):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / f"{name}.py"
    file.parent.mkdir(exist_ok=True)
    cached = "from functools import cache\n@cache\ndef cached(): return 1\n"
    text = f"{cached}def f(): return 1\nclass N:\n    def g(self): return f()\n"
    file.write_text(text)
    code = HEAD + head + MIRROR.replace("return {}", body)
    before = digest_of(code)
    file.write_text(text.replace("return 1", "return 2"))

    assert digest_of(code) != before


def test_a_script_that_was_edited_while_it_ran_is_refused(tmp_path):
    file = tmp_path / "script.py"
    file.write_text(CELL)
    names = {"__name__": "__main__"}
    exec(compile(CELL, str(file), "exec"), names)
    file.write_text(CELL.replace("strength: int = 1", "strength: int = 1\n").replace("Sampler(train)", "Sampler(None)"))
    linecache.checkcache(str(file))  # as every traceback does; until then the text that was run may be remembered

    with pytest.raises(PluginError, match=r"script.py was edited after Mirror was defined"):
        code_of(names["Mirror"])


@pytest.mark.parametrize(
    "value", ["{'a', 'b', 'c', 'd', 'e'}", "[frozenset({'a', 'b', 'c', 'd'})]", "[lambda x: x]", "C()"]
)
def test_another_process_finds_the_same_digest(value):
    code = f"{HEAD}class C:\n    def f(self): return 1\nK = {value}\n{MIRROR.format('K')}"
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_own_code import digest_of, HEAD\nprint(digest_of(HEAD, sys.argv[2]))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), code], capture_output=True, text=True, check=True
    )

    assert other.stdout.strip() == digest_of(code)


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
