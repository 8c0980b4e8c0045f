"""What changes the digest of a plugin's code, and so costs a fit, and what does not."""

import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

import lesionbench
from lesionbench.errors import SettingsError
from lesionbench.experiment import code_digest
from lesionbench.experiment.code_digest import modules_of
from lesionbench.experiment.keys import AUGMENTING, CLASSIFYING
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.settings import make_experiment
from lesionbench.pipeline.plugin import Plugin
from lesionbench.plugins import Found, Plugins

SOURCE = Path(lesionbench.__file__).parent
CLASSES = {(found.kind, found.name): found.cls for found in Plugins.load().found.values()}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of lesionbench and of all plugin packages, as folders by name, that the digest reads in their place."""
    modules = {cls.__module__.partition(".")[0] for cls in CLASSES.values()}
    packages = {module: Path(sys.modules[module].__file__).parent for module in modules}
    for name, folder in packages.items():
        shutil.copytree(folder, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    real = code_digest._file_of

    def in_copy(module):
        file = real(module)
        for name, folder in packages.items():
            if file is not None and file.is_relative_to(folder):
                moved = MOVED.get(module) if module in MOVED else file.relative_to(folder)
                return tmp_path / name / moved
        return file

    monkeypatch.setattr(code_digest, "_file_of", in_copy)
    yield tmp_path
    MOVED.clear()
    clear()


MOVED = {}
clear = code_digest.read_again


def digest(kind, name):
    clear()
    stage = {"augmenter": AUGMENTING, "classifier": CLASSIFYING}[kind]
    return code_digest.code_digest(*modules_of(CLASSES[kind, name], Plugin), *stage)


def edit(path, old, new):
    text = path.read_text()
    assert old in text, path
    path.write_text(text.replace(old, new, 1))


def changed(copy, kind, name, *edits):
    """Whether edits, each (file, old, new), change the digest of a plugin."""
    before = digest(kind, name)
    for file, old, new in edits:
        edit(copy / file, old, new)
    return digest(kind, name) != before


GAN = "lesionbench/torchkit/gan.py"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (GAN, "from __future__ import annotations\n", "from __future__ import annotations\n\n# A comment.\n"),
        (GAN, '"""', '"""Reworded. '),
        ("lesionbench_dcgan/fit.py", '"""', '"""Reworded. '),
        ("lesionbench/pipeline/leaderboard.py", "lineterminator", "lineterminator_"),
        ("lesionbench/store/drafts.py", "A_DAY = 86_400", "A_DAY = 3_600"),
        ("lesionbench/experiment/runner.py", "TICK = 0.25", "TICK = 0.5"),
        ("lesionbench/pictures/drawing.py", "GAP = 2", "GAP = 3"),
        ("lesionbench_acgan/networks.py", "import torch", "import torch\n\nNEW = 1"),
        ("lesionbench_dcgan/__init__.py", 'description="', 'description="Reworded. '),
    ],
)
def test_what_cannot_change_a_dcgan_keeps_its_digest(copy, file, old, new):
    assert not changed(copy, "augmenter", "dcgan", (file, old, new))


def test_a_constant_of_the_gan_kit_changes_the_gans_and_nothing_else(copy):
    names = ["dcgan", "acgan", "progressive-gan", "classic", "oversample"]
    before = {name: digest("augmenter", name) for name in names}
    with (copy / GAN).open("a") as file:
        file.write("\nNEW = 1\n")

    assert [name for name in names if digest("augmenter", name) != before[name]] == names[:3]


def test_the_module_that_changed_is_the_one_whose_own_digest_changed(copy):
    def digests():
        clear()
        return code_digest.module_digests(*modules_of(CLASSES["augmenter", "dcgan"], Plugin), *AUGMENTING)

    before = digests()
    edit(copy / GAN, '"""', '"""Reworded. ')
    assert digests() == before
    with (copy / GAN).open("a") as file:
        file.write("\nNEW = 1\n")
    now = digests()

    assert {"lesionbench_dcgan.fit", "lesionbench.torchkit.gan"} <= now.keys()
    assert [name for name in now if now[name] != before[name]] == ["lesionbench.torchkit.gan"]


def test_how_a_chain_takes_its_draws_changes_every_fit_and_every_prediction(copy):
    edits = [("lesionbench/experiment/synthesis.py", ".first(draw.per_class)", ".first(draw.per_class + 0)")]
    before = digest("classifier", "linear")

    assert changed(copy, "augmenter", "classic", *edits)
    assert digest("classifier", "linear") != before


def test_how_a_cell_is_run_changes_predictions_and_no_fit(copy):
    edits = [("lesionbench/experiment/cell.py", '"validation", cell.fold', '"validation", 0 + cell.fold')]
    before = digest("augmenter", "classic")

    assert changed(copy, "classifier", "linear", *edits)
    assert digest("augmenter", "classic") == before


def test_an_error_message_may_be_reworded_but_not_the_condition(copy):
    file = "lesionbench/pipeline/training_set.py"
    assert not changed(copy, "augmenter", "classic", (file, 'f"the pool holds', 'f"the pool contains'))
    assert changed(copy, "augmenter", "classic", (file, "len(images) < per_class", "len(images) <= per_class"))


def test_moving_a_module_changes_nothing(copy):
    """The file, its module and the imports of it go to another folder."""
    before = digest("augmenter", "dcgan")
    (copy / "lesionbench" / "elsewhere").mkdir()
    shutil.move(copy / GAN, copy / "lesionbench" / "elsewhere" / "adversarial.py")
    MOVED["lesionbench.elsewhere.adversarial"] = "elsewhere/adversarial.py"
    real = code_digest._file_of
    code_digest._file_of = lambda module: copy / "lesionbench" / MOVED[module] if module in MOVED else real(module)
    try:
        for path in copy.rglob("*.py"):
            path.write_text(path.read_text().replace("lesionbench.torchkit.gan", "lesionbench.elsewhere.adversarial"))
        assert digest("augmenter", "dcgan") == before
    finally:
        code_digest._file_of = real


PLUGIN = """
from lesionbench import Augmenter

class Mine(Augmenter):
    name = "mine"
    def fit(self, train, context): {body}
"""


@pytest.mark.parametrize("module", ["filelab", "spacelab.plug"])
def test_editing_a_plugin_outside_changes_its_digest(tmp_path, monkeypatch, module):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir(exist_ok=True)
    digests = []
    for body in ("return 1", "return 22", "return 22  # as before"):
        file.write_text(PLUGIN.format(body=body))
        clear()
        digests.append(code_digest.code_digest(module))

    assert digests[0] != digests[1] == digests[2]


def test_a_package_that_imports_by_name_and_its_data_count_whole(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "namelab"
    package.mkdir()
    (package / "__init__.py").write_text("from importlib import import_module\nimport_module('namelab.' + 'other')\n")
    (package / "other.py").write_text("A = 1\n")
    (package / "table.csv").write_text("1\n")
    digests = []
    for file, text in (("other.py", "A = 1\n"), ("other.py", "A = 2\n"), ("table.csv", "2\n")):
        (package / file).write_text(text)
        clear()
        digests.append(code_digest.code_digest("namelab"))

    assert len(set(digests)) == 3


A_AND_B = {"a.py": "x = 1\n", "b.py": "x = 2\n"}
BRANCH = "if 1:\n    from {} import x\nelse:\n    from {} import x\n"
IN_FUNCTIONS = "def f():\n    from {} import x\n    return x\ndef g():\n    from {} import x\n    return x\n"
STARS = "from {} import *\nfrom {} import *\n"
NAMED = "from {} import x as one\nfrom {} import x as two\n"
REEXPORTED = {f"{name}/__init__.py": "from .n import x" for name in "ab"} | {"a/n.py": "x = 1", "b/n.py": "x = 2"}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Files in a folder of Python's path, in two states: whether a module's digest differs."""
    monkeypatch.syspath_prepend(tmp_path)

    def changed(before, after, module):
        digests = []
        for files in (before, after):
            for name, text in files.items():
                file = tmp_path / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            clear()
            digests.append(code_digest.code_digest(module))
        return digests[0] != digests[1]

    return changed


@pytest.mark.parametrize(
    ("text", "files"),
    [(BRANCH, A_AND_B), (IN_FUNCTIONS, A_AND_B), (STARS, A_AND_B), (NAMED, REEXPORTED)],
    ids=["if", "functions", "star", "packages without code of their own"],
)
def test_two_imports_that_change_places_change_the_digest(lab, text, files):
    before = {"swapped/__init__.py": text.format(".a", ".b")} | {f"swapped/{name}": one for name, one in files.items()}
    assert lab(before, {"swapped/__init__.py": text.format(".b", ".a")}, "swapped")


@pytest.mark.parametrize(
    "text",
    [
        "from importlib import import_module as load\nload('byname.a')",
        "load = __import__\nload('byname.a')",
        "exec('from byname.a import x')",
        "import runpy\nrunpy.run_module('byname.a')",
        "import pkgutil\npkgutil.resolve_name('byname.a')",
        "from importlib.util import spec_from_file_location as load",
    ],
)
def test_every_way_to_import_by_name_counts_the_package_whole(lab, text):
    assert lab({"byname/__init__.py": text, "byname/a.py": "x = 1"}, {"byname/a.py": "x = 2"}, "byname")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"p/__init__.py": "A = 1", "p/m.py": "x = 1"}, {"p/__init__.py": "A = 2"}),
        ({"p/__init__.py": "from . import patch", "p/patch.py": "A = 1", "p/m.py": ""}, {"p/patch.py": "A = 2"}),
        (
            {"p/__init__.py": "from ._impl import s", "p/_impl.py": "s = 1", "p/s.py": "", "p/m.py": "from p import s"},
            {"p/_impl.py": "s = 2"},
        ),
        ({"p/m.py": "from importlib import import_module\nimport_module('p.a')", "p/a.py": "1"}, {"p/a.py": "2"}),
        ({"p/m.py": "x = 1", "p/table.csv": "1"}, {"p/table.csv": "2"}),
        (
            {"p/__init__.py": "", "p/m.py": "", "p/one.csv": "1", "p/two.csv": "2"},
            {"p/one.csv": "2", "p/two.csv": "1"},
        ),
        ({"p/m.py": "from helper import x", "helper.py": "x = 1"}, {"helper.py": "x = 2"}),
        ({"p/m.py": "from nets.g import x", "nets/__init__.py": "", "nets/g.py": "x = 1"}, {"nets/g.py": "x = 2"}),
        ({"p/m.py": "from nets.g import x", "nets/g.py": "x = 1"}, {"nets/g.py": "x = 2"}),
        ({"p/m.py": "from .a import *", "p/a.py": "__all__ = []\nx = 1"}, {"p/a.py": "__all__ = ['x']\nx = 1"}),
    ],
    ids=[
        "the package around a module",
        "what the package around a module imports",
        "a name of a package that hides a module",
        "imports by name in a package without __init__",
        "data of a package without __init__",
        "two data files that change places",
        "a module beside the package",
        "another package of the same folder",
        "another package without __init__",
        "the names that a star takes",
    ],
)
def test_what_a_plugin_outside_uses_changes_its_digest(lab, before, after):
    assert lab(before, after, "p.m")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"q/__init__.py": "import math\nimport os"}, {"q/__init__.py": "import os\nimport math"}),
        ({"q/__init__.py": "from math import e, pi"}, {"q/__init__.py": "from math import (\n    pi,\n    e,\n)"}),
        (
            {"q/__init__.py": "from .a import x\nfrom .b import y", "q/a.py": "x = 1", "q/b.py": "y = 1"},
            {"q/__init__.py": "from .b import y\nfrom .a import x"},
        ),
        ({"q/__init__.py": ""}, {"q/.DS_Store": "1", "q/.mypy_cache/a.json": "1"}),
    ],
    ids=["order", "format", "order in the package", "files of desktops and tools"],
)
def test_the_order_of_imports_and_hidden_files_keep_the_digest(lab, before, after):
    assert not lab(before, after, "q")


def test_a_plugin_may_have_a_name_that_lesionbench_uses_itself(lab):
    before = {
        "home/__init__.py": "from pathlib import Path\n_HOME = Path.home()\nX = 1",
        "home/m.py": "from home import X",
    }
    assert lab(before, {"home/__init__.py": "X = 2"}, "home.m")


DATASET = """
from lesionbench.builtin.skin_phantom import SkinPhantom

class Edited(SkinPhantom):
    name = "edited"
    TAKEN = 1
"""


def test_a_dataset_that_was_edited_after_it_was_loaded_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "editedlab.py"
    file.write_text("from typing import ClassVar\n" + DATASET.replace("TAKEN", "TAKEN: ClassVar[int]"))
    plugins = Plugins.load()
    plugins.found["dataset", "edited"] = Found("dataset", "edited", "editedlab", import_module("editedlab").Edited)
    experiment = make_experiment({"dataset": "edited[train=60,test=20]"}, plugins)
    prepare(experiment, plugins, tmp_path / "store", keep=False)
    prepare(experiment, plugins, tmp_path / "store", keep=False)
    file.write_text(file.read_text().replace("= 1", "= 2"))

    with pytest.raises(SettingsError, match="the code of the dataset 'edited' was edited after it was loaded"):
        prepare(experiment, plugins, tmp_path / "store", keep=False)
