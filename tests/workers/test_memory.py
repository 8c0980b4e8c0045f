"""How much memory new processes can have."""

import sys
from types import SimpleNamespace

import pytest

from lesionbench.workers import memory

GB = 10**9
FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory"),
    2: ("memory.max", "memory.current", "inactive_file", ""),
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("limit", "free"), [(str(5 * GB), 4.0), ("max", 16.0), (str(2**63), 16.0)])
def test_a_control_group_around_the_process_limits_the_free_memory(tmp_path, monkeypatch, version, limit, free):
    limits, usage, cached, controllers = FILES[version]
    group = tmp_path / controllers / "slurm" / "job"
    group.mkdir(parents=True)
    (group.parent / limits).write_text(limit)
    (group.parent / usage).write_text(f"{2 * GB}\n")
    (group.parent / "memory.stat").write_text(f"anon 5\n{cached} {GB}\n")
    texts = {"/proc/meminfo": f"MemTotal: 9 kB\nMemAvailable: {16 * GB // 1024} kB\n"}
    texts["/proc/self/cgroup"] = f"3:{controllers}:/slurm/job\n2:cpu:/elsewhere\n"
    read = memory._read
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    monkeypatch.setattr(memory, "_read", lambda path: texts.get(str(path)) or read(path))

    assert memory.free_gigabytes() == pytest.approx(free, abs=1e-3)


def test_a_system_that_does_not_say_limits_nothing(monkeypatch):
    monkeypatch.setattr(memory, "_read", lambda _: "")

    assert memory.free_gigabytes() is None


def test_the_peak_on_a_gpu_is_that_of_one_stage_and_none_is_asked_of_a_process_without_one(monkeypatch):
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        reset_peak_memory_stats=lambda: setattr(cuda, "peak", 0),
        max_memory_allocated=lambda: cuda.peak,
        peak=9 * 2**20,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    memory.restart_peak()
    cuda.peak += 3 * 2**19
    assert memory.gpu_peak_megabytes() == 1.5

    cuda.is_initialized = lambda: False
    assert memory.gpu_peak_megabytes() is None
