"""The benchmarks run on their own; here only that they fit the code, and that the pages show what was measured."""

import json
import subprocess
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPEED = ROOT / "benchmarks" / "speed"


@pytest.fixture(autouse=True)
def benchmarks_are_importable(monkeypatch):
    """As they are for `bench.py`, whose folder Python puts first."""
    monkeypatch.syspath_prepend(str(SPEED))
    names = [path.stem for path in SPEED.glob("*.py")]
    yield
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("path", sorted(SPEED.glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_imports_what_there_is(path):
    assert import_module(path.stem)


def test_every_line_has_a_name_of_its_own_and_the_readme_names_lines_that_exist():
    names = [row.name for row in import_module("bench").rows()]

    assert len(set(names)) == len(names)
    assert set(import_module("page").MAIN_ROWS) <= set(names)


def test_a_ratio_is_the_median_of_the_pairs_and_sides_take_turns():
    pairs = import_module("pairs")
    order = []

    @contextmanager
    def sides(_):
        ours, theirs = iter([1.0, 2.0, 4.0]), iter([10.0, 40.0, 20.0])

        def cost(name, seconds, work):
            order.append(name)
            return pairs.Cost(seconds, seconds * 2, work)

        yield pairs.Sides(lambda: cost("ours", next(ours), 2.0), lambda: cost("theirs", next(theirs), 1.0))

    found = pairs.measured(pairs.Row("a", "A", "s", "another", sides), pairs.Options(pairs=3))

    assert order == ["theirs", "ours", "ours", "theirs", "theirs", "ours"]
    assert found["ratio"] == {"wall": 20.0, "processor": 20.0}  # of 10/0.5, 40/1 and 20/2
    assert found["ours"]["wall"] == 1.0
    assert found["reference"]["wall"] == 20.0


def test_the_pages_show_the_results_that_are_kept():
    page = import_module("page")
    results = json.loads(page.RESULTS.read_text()) if page.RESULTS.exists() else None

    for path, render in page.PAGES.items():
        text = path.read_text()
        assert page.with_table(text, render(results) if results else "") == text, "run `make bench` again"


def test_a_table_has_both_ratios_and_says_what_each_reference_does(tmp_path):
    page, pairs = import_module("page"), import_module("pairs")
    ours, theirs = {"wall": 0.01, "processor": 0.02, "share": 0.16}, {"wall": 0.025, "processor": 0.03}
    row = {"unit": "images/s", "says": "A loop", "ours": ours, "reference": theirs}
    rows = {name: {**row, "title": f"line {name}", "ratio": {"wall": 2.5, "processor": 1.5}} for name in page.MAIN_ROWS}
    alone = {"title": "alone", "unit": "s", "says": "", "ours": {"wall": 1.25, "processor": 1.0}, "reference": None}
    table = page.whole_table({**page.about_this_run(pairs.Options()), "rows": {**rows, "alone": alone}})

    assert "| line kth-cnn [1] | 40 images/s | 100 images/s | 2.50 | 1.50 | 16% |" in table
    assert "| alone |  | 1.25 s |  |  |  |" in table
    assert table.count("1. A loop.") == 1


def numbers_of_weights(*networks):
    return [sum(weight.numel() for weight in network.parameters()) for network in networks]


def test_the_references_have_the_networks_of_the_plugins():
    torch, tutorial = import_module("torch"), import_module("tutorial")
    from lesionbench_acgan import Acgan
    from lesionbench_acgan.networks import Blueprint
    from lesionbench_dcgan.networks import ARCHITECTURES
    from lesionbench_paper_cnns.frid_adar_cnn import frid_adar_network
    from lesionbench_paper_cnns.kth_cnn import kth_network

    kth, frid_adar = ARCHITECTURES["kth"], ARCHITECTURES["frid-adar"]
    acgan = Blueprint.of(Acgan(), 3, 2)
    ours = [kth.generator(3), kth.discriminator(3), frid_adar.generator(1), frid_adar.discriminator(1)]
    ours += [acgan.generator(), acgan.discriminator()]
    ours += [kth_network(3, 1, 0.25), frid_adar_network(torch.zeros(1, 64, 64), 3, 0.5)]
    theirs = [*tutorial.kth_gan(), *tutorial.frid_adar_gan(), *tutorial.acgan()]
    theirs += [tutorial.kth_cnn(), tutorial.frid_adar_cnn()]

    assert numbers_of_weights(*theirs) == numbers_of_weights(*ours)


@pytest.mark.slow
def test_every_line_can_be_measured():
    command = [sys.executable, SPEED / "bench.py", "--quick", "--pairs", "1"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("dcgan-kth", "whole-run", "dask"))
    assert "nothing is kept" in done.stderr
