"""What changes the digest of a plugin's code, and so costs a fit, and what does not."""

import shutil
import sys
from pathlib import Path

import pytest

import lesionbench
from lesionbench.experiment import code_digest
from lesionbench.experiment.code_digest import modules_of
from lesionbench.experiment.keys import AUGMENTING, CLASSIFYING
from lesionbench.pipeline.plugin import Plugin
from lesionbench.plugins import Plugins

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


def clear():
    for cached in (code_digest.code_digest, code_digest._read, code_digest._syntax_digest, code_digest._home_of):
        cached.cache_clear()


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
        ("lesionbench/experiment/store.py", "A_DAY = 86_400", "A_DAY = 3_600"),
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
