"""Jobs of submitit, on this machine: submitit's own local executor stands for SLURM."""

import shutil
import time

import pytest
from conftest import CommandLine

from lesionbench.errors import SettingsError
from lesionbench.workers.executors import Needs, Opening
from lesionbench.workers.submitit_jobs import Submitit

submitit = pytest.importorskip("submitit")

GRID = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--seeds", 1)


def test_a_job_returns_or_raises_what_its_function_does_and_leaves_no_file(tmp_path):
    with Submitit(cluster="local").open(Opening(2, "cpu", tmp_path)) as jobs:
        returned, raised = jobs.submit(Needs(), max, 2, 3), jobs.submit(Needs(), int, "x")

        assert returned.result(60) == 3
        with pytest.raises(ValueError, match="invalid literal for int"):
            raised.result(60)

    assert jobs.slots == 2
    assert not (tmp_path / "submitit").exists()


def test_a_disk_that_does_not_answer_for_a_moment_loses_no_result(tmp_path, monkeypatch):
    fails = iter([True, True, False])
    done = submitit.LocalJob.done

    def unsure(job):
        if next(fails, False):
            raise OSError("stale file handle")
        return done(job)

    monkeypatch.setattr(submitit.LocalJob, "done", unsure)
    with Submitit(cluster="local").open(Opening(2, "cpu", tmp_path)) as jobs:
        assert jobs.submit(Needs(), max, 2, 3).result(60) == 3


@pytest.mark.usefixtures("signals_arrive")
def test_jobs_that_still_run_are_cancelled_when_the_run_ends(tmp_path):
    with Submitit(cluster="local").open(Opening(None, "cpu", tmp_path)) as jobs:
        jobs.submit(Needs(), time.sleep, 300)
        [job] = jobs._jobs.values()

    job._process.wait(60)


def test_what_a_task_needs_is_asked_of_slurm():
    asked = Submitit(partition="gpu", time=60, memory_gb=8).parameters(Needs(cores=4, gpus=1))

    assert asked["slurm_partition"] == "gpu"
    assert (asked["cpus_per_task"], asked["gpus_per_node"], asked["mem_gb"], asked["timeout_min"]) == (4, 1, 8, 60)
    executor = submitit.AutoExecutor("unused", cluster="local")
    executor.update_parameters(**asked)  # raises NameError for a parameter that submitit does not know


@pytest.mark.skipif(shutil.which("sbatch") is not None, reason="SLURM is here")
def test_without_slurm_the_message_says_what_to_do():
    with pytest.raises(SettingsError, match=r"no sbatch here; .* with executor='submitit\[cluster=local\]'"):
        Submitit().check(Needs())


@pytest.mark.slow
def test_jobs_give_the_same_bytes_as_local_processes(tmp_path, spy_package):
    command_line = CommandLine(tmp_path, (spy_package,))
    command_line(*GRID, "--jobs", 2, "--out", "local")
    command_line(*GRID, "--executor", "submitit[cluster=local]", "--jobs", 2, "--out", "jobs")

    local, jobs = (tmp_path / name / "leaderboard.csv" for name in ("local", "jobs"))
    assert jobs.read_bytes() == local.read_bytes()
    assert not (tmp_path / "jobs" / "logs" / "submitit").exists()
