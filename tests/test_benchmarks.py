"""The speed benchmarks run on their own; here only that they still fit the code."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks" / "speed").glob("test_*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_imports_what_there_is(path):
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)

    spec.loader.exec_module(importlib.util.module_from_spec(spec))

    assert BENCHMARKS
