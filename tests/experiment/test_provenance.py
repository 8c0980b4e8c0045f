import importlib
import sys

from lesionbench.builtin.controls import Oversample
from lesionbench.experiment import provenance
from lesionbench.plugins import Plugins

PLUGIN = """
from lesionbench import Augmenter

class Mine(Augmenter):
    name = "mine"
    def fit(self, train, context): {body}
"""


def digest_of(module):
    provenance._source_digest.cache_clear()
    sys.modules.pop(module, None)
    importlib.invalidate_caches()
    return provenance.provenance(importlib.import_module(module).Mine(), "mine")["source"]


def test_editing_a_plugin_changes_its_source_digest(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "spacelab").mkdir()
    for file, module in ((tmp_path / "filelab.py", "filelab"), (tmp_path / "spacelab" / "plug.py", "spacelab.plug")):
        file.write_text(PLUGIN.format(body="return 1"))
        before = digest_of(module)
        file.write_text(PLUGIN.format(body="return 22"))

        assert before != digest_of(module)


def test_the_versions_reach_the_libraries_behind_a_plugin():
    packages = {found.name: found.package for found in Plugins.load().found.values()}

    assert "pillow" in provenance._versions(packages["skin-lesion"])
    assert "opencv-python-headless" in provenance._versions(packages["classic"])
    assert {"torch", "numpy"} <= provenance._versions(packages["dcgan"]).keys()


def test_what_only_shows_things_is_no_part_of_a_result():
    assert not provenance.NO_EFFECT & provenance.provenance(Oversample(), "lesionbench")["versions"].keys()
