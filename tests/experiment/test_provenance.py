import os
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import pytest
from packaging.requirements import Requirement

from lesionbench.builtin.controls import Oversample
from lesionbench.errors import SettingsError
from lesionbench.experiment import provenance
from lesionbench.pipeline.plugin import Plugin
from lesionbench.plugins import Plugins


def test_the_versions_reach_the_libraries_behind_a_plugin():
    packages = {found.name: found.package for found in Plugins.load().found.values()}

    assert "pillow" in provenance.versions_behind(packages["skin-lesion"])
    assert "opencv-python-headless" in provenance.versions_behind(packages["classic"])
    assert {"torch", "numpy"} <= provenance.versions_behind(packages["dcgan"]).keys()


def test_the_libraries_of_lesionbench_count_for_a_plugin_that_names_none():
    assert {"numpy", "scikit-learn"} <= provenance.versions_behind("a-plugin-without-requirements").keys()


def test_what_only_shows_things_is_no_part_of_a_result():
    assert not provenance.NO_EFFECT & provenance.provenance(Oversample(), "lesionbench")["versions"].keys()


@pytest.mark.parametrize("extra", ["", "dev", "cublas", "Test_Extra"])
def test_requirements_are_the_same_as_when_every_line_is_parsed_and_evaluated(extra):
    for installed in metadata.distributions():
        found = provenance._requirements(installed.name, extra)

        parsed = map(Requirement, installed.requires or [])
        assert found == [one for one in parsed if one.marker is None or one.marker.evaluate({"extra": extra})]


@pytest.mark.parametrize(
    ("line", "skipped"),
    [
        ('a; extra == "dev"', True),
        ("a>=1; python_version > '3' and extra == 'dev'", True),
        ("a; (os_name == 'nt' or os_name == 'posix') and extra == 'dev'", True),
        ("a; os_name == 'nt' or os_name == 'posix' and extra == 'dev'", False),
        ("a; extra == 'dev' and os_name == 'nt'", False),
        ("a; extra != 'dev'", False),
        ("a; extra == 'Other.One'", False),
        ("a", False),
    ],
)
def test_a_requirement_is_skipped_without_being_parsed_only_if_another_extra_alone_brings_it(line, skipped):
    assert provenance._is_of_another_extra(line, "other-one") == skipped


class Reader(Plugin):
    name: ClassVar[str] = "reader"
    weights: str = ""

    def input_files(self):
        return [Path(self.weights)]


def files_of(path):
    return provenance.provenance(Reader(weights=str(path)), "lesionbench")["files"]


def test_the_content_of_a_file_that_a_plugin_reads_decides_and_not_its_name(tmp_path):
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    for path, text in ((one, "abc"), (same, "abc"), (other, "xyz")):
        path.write_text(text)
    assert files_of(one) == files_of(same) != files_of(other)


def test_a_file_changed_in_place_is_digested_again(tmp_path):
    path = tmp_path / "weights"
    path.write_text("abc")
    before = files_of(path)
    path.write_text("xyz")
    os.utime(path, ns=(1, 1))
    assert before != files_of(path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(SettingsError, match=r"reader cannot read .*; give it another file"):
        files_of(tmp_path / name)


def test_a_plugin_that_reads_no_files_has_none():
    assert [] == provenance.provenance(Oversample(), "lesionbench")["files"]
