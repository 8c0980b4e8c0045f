"""Plugin packages that users write: found, listed, checked, run; and what happens when one is broken."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CommandLine, install
from hypothesis import given
from hypothesis import strategies as st

from lesionbench.errors import PluginError, SettingsError
from lesionbench.plugins import Plugins
from lesionbench.spelling import parse_spec, spec_of

GUIDE = (Path(__file__).parent.parent / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
TEN_LINES = GUIDE.partition("```python\n")[2].partition("```")[0]  # what the guide tells a newcomer to write


@pytest.fixture(scope="module")
def mirror_package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    return install(folder / "source", "lesionbench-mirror", TEN_LINES, folder / "site")


def test_the_package_of_the_guide_is_listed_checked_and_run(tmp_path, mirror_package, spy_package):
    command_line = CommandLine(tmp_path, (mirror_package, spy_package))

    listed = command_line("plugins").stdout
    checked = command_line("check", "mirror").stdout
    command_line(
        *("run", "--dataset", "spy-dots", "--positive-class", "b", "--classifier", "spy-centroids", "--seeds", 1),
        *("--augmenter", "mirror", "--synthetic", "7", "--out", "o"),
    )

    assert "The training images, mirrored.  (lesionbench-mirror)" in listed
    assert " 0 failed" in checked
    assert "mirror,7" in (tmp_path / "o" / "leaderboard.csv").read_text()


def test_a_broken_package_is_named_and_the_others_still_work(tmp_path, mirror_package):
    broken = install(tmp_path / "source", "lesionbench-broken", "import no_such_library\n", tmp_path / "site")
    command_line = CommandLine(tmp_path, (broken, mirror_package))

    listed = command_line("plugins").stdout
    missing = command_line("run", "--augmenter", "brocken", status=2)

    assert "lesionbench-broken: ModuleNotFoundError: No module named 'no_such_library'" in listed
    assert "mirror" in listed
    assert "could not be loaded: lesionbench-broken" in missing.stderr


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = (\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("from lesionbench import hookimpl\n@hookimpl\ndef register_augmentors(): return []\n", "unknown hook"),
        (
            "from lesionbench import hookimpl\n@hookimpl\ndef register_augmenters(): return [3]\n",
            "must return Augmenter",
        ),
        ("from lesionbench import hookimpl\n@hookimpl\ndef register_augmenters(): return None\n", "TypeError"),
    ],
)
def test_every_way_to_break_a_package_is_reported(tmp_path, code, reason):
    broken = install(tmp_path / "source", "lesionbench-broken", code, tmp_path / "site")

    listed = CommandLine(tmp_path, (broken,))("plugins").stdout

    assert "lesionbench-broken: " in listed
    assert reason in listed
    assert "oversample" in listed


def test_two_packages_with_one_name_are_an_error_that_names_both(tmp_path, mirror_package):
    twin = install(tmp_path / "source", "lesionbench-twin", TEN_LINES, tmp_path / "site")

    refused = CommandLine(tmp_path, (mirror_package, twin))("plugins", status=2)

    assert "two packages bring the augmenter 'mirror': lesionbench-mirror and lesionbench-twin" in refused.stderr


def test_a_package_that_registers_one_good_and_one_bad_class_adds_neither():
    from lesionbench.builtin.controls import Oversample
    from lesionbench.hookspecs import hookimpl

    class Half:
        @staticmethod
        @hookimpl
        def register_augmenters():
            return [Oversample, int]

    plugins = Plugins()
    with pytest.raises(TypeError, match="must return Augmenter classes"):
        plugins.register("half", Half)

    assert plugins.found == {}


def test_registering_a_package_twice_is_refused():
    from lesionbench import builtin

    plugins = Plugins()
    plugins.register("one", builtin)

    with pytest.raises(PluginError, match="one and two"):
        plugins.register("two", builtin)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dcgna", "no augmenter 'dcgna' is installed; did you mean 'dcgan'"),
        ("dcgan[stps=3]", "has no setting 'stps'; did you mean 'steps'"),
        ("dcgan[steps=three]", "steps: .*not 'three'; see: lesionbench plugins dcgan"),
        ("dcgan[steps]", "key=value, not 'steps'"),
        ("dcgan[steps=1,steps=2]", "'steps' stands twice"),
        ("dcgan[steps=1", "NAME or NAME"),
        ("", "NAME or NAME"),
    ],
)
def test_a_wrong_plugin_text_says_what_is_right(spec, message):
    with pytest.raises(SettingsError, match=message):
        Plugins.load().augmenter(spec)


@given(st.integers(1, 10_000), st.integers(2, 512))
def test_a_plugin_and_its_text_are_the_same_thing(steps, batch_size):
    plugins = Plugins.load()
    written = spec_of(plugins.augmenter(f"dcgan[ batch_size = {batch_size}, steps={steps} ]"))

    assert spec_of(plugins.augmenter(written)) == written
    assert plugins.augmenter(written).model_dump()["steps"] == steps


def test_the_default_settings_need_no_brackets():
    assert spec_of(Plugins.load().augmenter("dcgan[]")) == "dcgan"
    assert parse_spec("a[b=c]") == ("a", {"b": "c"})


@pytest.mark.parametrize("module", ["lesionbench", "lesionbench.cli.main", "lesionbench.builtin"])
def test_starting_imports_nothing_heavy(module):
    assert heavy_after(f"import {module}") == "[]"


def test_listing_the_plugins_imports_nothing_heavy():
    assert heavy_after("from lesionbench.plugins import Plugins; Plugins.load()") == "[]"


def heavy_after(statement):
    """The heavy libraries that a fresh process has imported after a statement."""
    heavy = ("torch", "numpy", "pandas", "sklearn", "scipy", "cv2", "albumentations", "PIL", "matplotlib")
    code = f"import sys; {statement}; print([name for name in {heavy} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
