"""How much memory new processes can have."""

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
