"""A grid as a list of jobs, done by processes that know nothing of each other."""

import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest
from conftest import CommandLineHere
from run_folders import cells_without_costs, results

from lesionbench.errors import OutputError
from lesionbench.experiment.job_list import read_list
from lesionbench.experiment.output import locked
from lesionbench.runs.work import Work, work_on
from lesionbench.store.digests import key_of
from lesionbench.store.layout import POOLS
from lesionbench.workers.apart import Stopped

GRID = ("--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--synthetic", "5,12")
GRID = (*GRID, "--augmenter", "spy-copies", "--augmenter", "oversample+spy-negatives", "--seeds", "1")
FAILING = (*GRID, "--augmenter", "spy-copies[fails=true]")
WORKER = """
import json, sys
from pathlib import Path
from lesionbench.runs.work import work_on
for index in json.loads(sys.argv[1]):
    assert not work_on(Path("o"), index, print)
"""


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def statuses(folder):
    return {row["cell"]: row["status"] for row in table(folder / "cells.csv")}


def index_of(folder, name):
    return next(int(row["index"]) for row in table(folder / "jobs.csv") if row["task"].startswith(name))


@pytest.fixture(scope="module")
def one_list(tmp_path_factory, spy_package):
    """A folder with the list of jobs of the grid; tests work on copies of it."""
    command_line = CommandLineHere(tmp_path_factory.mktemp("jobs"), (spy_package,))
    command_line("jobs", "--array", "--at-once", 3, *GRID, "--out", "o")
    return command_line.cwd


@pytest.fixture
def listed(one_list, with_spies):
    """The command line in a copy of the folder with the list of jobs."""
    shutil.copytree(one_list, with_spies.cwd, dirs_exist_ok=True)
    return with_spies


def test_jobs_are_listed_and_nothing_is_run(listed):
    out = listed.cwd / "o"

    jobs, script = table(out / "jobs.csv"), (out / "array.sbatch").read_text()

    assert [row["index"] for row in jobs] == [str(number) for number in range(len(jobs))]
    assert jobs[-1]["needs"].split() == ["oversample_fold0_seed1", "oversample@12+spy-negatives_fold0_seed1"]
    assert {row["cores"] for row in jobs} == {"1"}
    assert set(statuses(out).values()) == {"waiting"}
    assert f"--array=0-{len(jobs) - 1}%3" in script
    assert not (out / "predictions").exists()
    assert (out / "logs" / "slurm").is_dir()  # SLURM makes no folder for its logs


def test_the_script_does_the_job_of_its_index_and_others_end_at_once(listed, one_list):
    root = listed.cwd / "o"
    script = (root / "array.sbatch").read_text().replace(str(one_list), str(listed.cwd))
    index = index_of(root, "none")

    def submit(number):
        environment = {**listed.env(), "SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_JOB_ID": "7"}
        return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=120)

    ends = [submit(index), submit(index), submit(999)]

    assert [end.returncode for end in ends] == [0, 0, 0]
    assert "made none" in ends[0].stdout
    assert "done already" in ends[1].stdout
    assert "the list ends with index" in ends[2].stdout
    listed("leaderboard", "o")
    assert [cell for cell, status in statuses(root).items() if status == "done"] == ["none_spy-centroids_fold0_seed1"]


@pytest.mark.slow
def test_four_processes_at_once_give_the_bytes_of_a_run_and_do_nothing_twice(listed):
    listed("run", *GRID, "--jobs", 2, "--out", "run")
    total = len(table(listed.cwd / "o" / "jobs.csv"))
    chance = random.Random(0)
    orders = [chance.choices(range(total), k=total) for _ in range(3)]
    orders.append(chance.sample(range(total), k=total))

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps(order)],
            cwd=listed.cwd,
            env=listed.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in orders
    ]
    said = [process.communicate(timeout=200) for process in processes]
    listed("leaderboard", "o")

    assert [process.returncode for process in processes] == [0] * 4, said
    made = [line for out, _ in said for line in out.splitlines() if line.startswith("making")]
    assert sorted(made) == sorted(set(made))
    assert len(made) == total
    for found in (results, cells_without_costs):
        assert found(listed.cwd / "o") == found(listed.cwd / "run")
    hidden = [path.name for path in (listed.cwd / "o").rglob(".*")]
    assert sorted(set(hidden) - {".array.sha256"}) == [".lock", ".tables.json"]
    assert not any((listed.cwd / "o" / "store" / "claims").iterdir())


def test_a_failed_pool_fails_what_needs_it_with_its_cause_and_the_rest_goes_on(with_spies):
    with_spies("jobs", *FAILING, "--out", "o")
    out = with_spies.cwd / "o"
    cell = index_of(out, "spy-copies-5_spy")
    failing = next(int(row["index"]) for row in table(out / "jobs.csv") if "spy-copies-" in row["needs"])

    failed = with_spies("work", "o", "--index", failing, status=1)
    with_spies("work", "o", "--index", cell)
    printed = with_spies("leaderboard", "o").stdout

    assert "1 of 7 cells done, 2 failed, 4 wait: lesionbench work o" in printed
    assert "failed: spy-copies-" in printed
    assert "the loss must stay finite" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert "s: spy-copies[fails=True]: the loss must stay finite" in failed.stdout
    name = table(out / "jobs.csv")[failing]["task"]
    assert "see logs/spy-copies-" in (out / "logs" / name / "error.txt").read_text()
    rows = {row["cell"]: row for row in table(out / "cells.csv")}
    assert rows[name]["status"] == "failed"
    assert "the loss must stay finite" in rows[name]["error"]
    assert sorted({row["status"] for row in rows.values()}) == ["done", "failed", "waiting"]


def test_whatever_is_ready_is_done_until_nothing_is_left(with_spies):
    with_spies("jobs", *FAILING, "--out", "o")

    worked = with_spies("work", "o", "--jobs", 2, status=1)
    assert "nothing is left to do; 3 tasks failed, and the same command tries them again" in worked.stdout
    with_spies("leaderboard", "o")

    assert "the loss must stay finite" in worked.stderr
    found = list(statuses(with_spies.cwd / "o").values())
    assert (found.count("done"), found.count("failed")) == (5, 2)


def test_who_needs_what_another_makes_does_other_work_and_then_its_own(listed, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(listed.packages[0]))
    monkeypatch.syspath_prepend(listed.packages[0])
    out = listed.cwd / "o"
    jobs, said = read_list(out), []
    index = index_of(out, "spy-copies-5_")
    job = jobs.tasks[index].needs[0]
    thread = threading.Thread(target=work_on, args=(out, index, said.append))

    with jobs.store.claim(POOLS, jobs.keys[job.name]) as mine:
        thread.start()
        while not any("waiting for" in line for line in said) and thread.is_alive():
            time.sleep(0.05)
        meanwhile = list(said)
    thread.join()

    assert mine
    assert any("made oversample+spy-negatives" in line for line in meanwhile)
    assert not any(job.name in line for line in meanwhile if line.startswith("making"))
    assert said[-1].startswith(f"made {jobs.tasks[index].name}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["work", "o", "--index", 3, "--jobs", 2], "leave out --jobs, or --index to do all"),
        (["jobs", "--timeout", "5m", "--out", "x"], "give --timeout 5m to lesionbench work"),
    ],
)
def test_options_that_do_not_go_together_are_refused(listed, arguments, message):
    assert message in listed(*arguments, status=2).stderr


def test_a_job_that_another_process_does_is_left_to_it(listed):
    jobs = read_list(listed.cwd / "o")
    index = index_of(listed.cwd / "o", "none")

    with jobs.store.claim(*jobs.place(jobs.tasks[index])):
        left = listed("work", "o", "--index", index)

    assert "is being made by another process" in left.stdout


def test_a_leaderboard_keeps_what_it_has_when_the_store_is_gone(listed):
    listed("work", "o", "--index", index_of(listed.cwd / "o", "none"))
    listed("leaderboard", "o")
    before = {path: path.read_bytes() for path in (listed.cwd / "o").glob("*.csv")}
    shutil.rmtree(listed.cwd / "o" / "store")

    listed("leaderboard", "o")

    assert "done" in statuses(listed.cwd / "o").values()
    assert {path: path.read_bytes() for path in (listed.cwd / "o").glob("*.csv")} == before


def test_cells_that_are_done_and_not_in_the_tables_are_not_merged_as_missing(listed, one_list):
    with_index = index_of(listed.cwd / "o", "none")
    listed("jobs", *GRID, "--augmenter", "noise", "--out", "b")
    listed("work", "o", "--index", with_index)

    for run in ("o", "b"):
        listed("leaderboard", run)
    shutil.copytree(one_list / "o", listed.cwd / "c")
    listed("work", "c", "--index", with_index)
    refused = listed("merge", "c", "b", "--out", "m", status=2).stderr
    listed("merge", "o", "b", "--out", "m", status=1)

    assert "more cells of c were finished since its tables were made (1)" in refused
    assert statuses(listed.cwd / "m")["none_spy-centroids_fold0_seed1"] == "done"


@pytest.mark.parametrize("arguments", [["--index", 0], []])
def test_work_that_is_stopped_fails_nothing(with_spies, arguments):
    with_spies("jobs", *GRID, "--augmenter", "spy-copies[seconds=100]", "--out", "o")
    out = with_spies.cwd / "o"
    index = index_of(out, "spy-copies-")
    arguments = [*arguments[:1], index] if arguments else ["--jobs", 2]
    command = with_spies.command("work", "o", *arguments)
    environment = {**with_spies.env(), "SLURM_ARRAY_JOB_ID": "77"}
    with subprocess.Popen(
        command, cwd=with_spies.cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as work:
        slow = table(out / "jobs.csv")[index]["task"]
        assert any(line.startswith(f"making {slow}") for line in work.stdout)
        work.terminate()
        assert work.wait(30) == 128 + signal.SIGTERM
        assert "stopped; what is finished is kept. To go on: lesionbench work o" in work.stderr.read()

    assert not [*out.glob("logs/*/error.txt")]
    assert not (out / "logs" / "slurm" / "failed").exists()
    with_spies("leaderboard", "o")
    assert "failed" not in statuses(out).values()


@pytest.mark.slow
def test_who_waits_for_a_work_that_is_stopped_goes_on_and_can_be_stopped_too(with_spies):
    with_spies("jobs", *GRID, "--augmenter", "spy-copies[seconds=100]", "--out", "o")
    out = with_spies.cwd / "o"
    index = next(int(row["index"]) for row in table(out / "jobs.csv") if row["task"].startswith("spy-copies-"))
    slow = table(out / "jobs.csv")[index]["task"]

    def start(*arguments):
        return subprocess.Popen(
            with_spies.command("work", "o", *arguments), cwd=with_spies.cwd, env=with_spies.env(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    with start("--index", index) as first:
        assert any(line.startswith(f"making {slow}") for line in first.stdout)
        with start() as second:
            assert any(line.startswith("waiting for what other processes make") for line in second.stdout)
            first.send_signal(signal.SIGINT)
            assert any(line.startswith(f"making {slow}") for line in second.stdout)
            with start() as third:
                assert any(line.startswith("waiting for what other processes make") for line in third.stdout)
                third.send_signal(signal.SIGINT)
                assert third.wait(30) == 128 + signal.SIGINT
            second.terminate()
            assert second.wait(30) == 128 + signal.SIGTERM

    assert first.returncode == 128 + signal.SIGINT
    assert not [*out.glob("logs/*/error.txt")]


def test_who_only_waits_ends_when_it_is_stopped(listed, monkeypatch):
    jobs, work = read_list(listed.cwd / "o"), None
    index = index_of(listed.cwd / "o", "spy-copies-5_")
    with ExitStack() as stack:
        for task in jobs.tasks:
            stack.enter_context(jobs.store.claim(*jobs.place(task)))
        work = Work(listed.cwd / "o", jobs, lambda _: work.stopped.set())

        with pytest.raises(Stopped):
            work(index)


def test_other_code_than_that_of_the_list_is_refused_by_name(listed):
    file = listed.cwd / "o" / "jobs.json"
    noted = json.loads(file.read_text())
    noted["made_with"] |= {"numpy": "1.0", "the code of lesionbench_spy": "0"}
    noted["digest"] = key_of({name: value for name, value in noted.items() if name != "digest"})
    file.write_text(json.dumps(noted))

    refused = listed("work", "o", "--index", index_of(listed.cwd / "o", "none"), status=2)

    assert "and 1.0 here; the code of lesionbench_spy differs" in refused.stderr
    assert not (listed.cwd / "o" / "store" / "predictions").exists()


def test_an_edited_script_is_kept_and_the_new_one_lies_beside_it(listed):
    script = listed.cwd / "o" / "array.sbatch"
    edited = script.read_text().replace("#SBATCH --requeue", "#SBATCH --partition=gpu")
    script.write_text(edited)

    said = listed("jobs", "--array", *GRID, "--out", "o").stdout

    assert script.read_text() == edited
    assert "left as it is" in said
    assert "--array=0-" in (listed.cwd / "o" / "array.sbatch.new").read_text()


def test_a_run_and_work_keep_each_other_out_and_work_does_not(tmp_path):
    with locked(tmp_path), pytest.raises(OutputError, match="wait until it ends"), locked(tmp_path, shared=True):
        pass
    with (
        locked(tmp_path, shared=True),
        locked(tmp_path, shared=True),
        pytest.raises(OutputError, match="wait until it ends"),
        locked(tmp_path),
    ):
        pass


def test_a_folder_without_a_list_and_a_damaged_list_are_named(listed):
    (listed.cwd / "o" / "jobs.json").write_text('{"made": 1}')
    assert "jobs.json is not what" in listed("work", "o", status=2).stderr

    (listed.cwd / "o" / "jobs.json").unlink()
    assert "no list of jobs" in listed("work", "o", status=2).stderr


def edited(text):
    noted = json.loads(text)
    noted["keys"] = dict.fromkeys(noted["keys"], "../../../elsewhere")
    return json.dumps(noted)


@pytest.mark.parametrize("damage", [edited, lambda text: text[:-9], lambda _: "null", lambda _: "[" * 100_000])
def test_a_list_that_was_edited_or_cut_is_not_used(listed, damage):
    file = listed.cwd / "o" / "jobs.json"
    file.write_text(damage(file.read_text()))

    assert "jobs.json is not what" in listed("work", "o", status=2).stderr
    assert "jobs.json is not what" in listed("leaderboard", "o", status=2).stderr
    assert not list((listed.cwd / "o" / "store").glob("*edictions"))


def test_the_folder_of_a_list_can_be_moved(listed):
    (listed.cwd / "o").rename(listed.cwd / "elsewhere")

    listed("work", "elsewhere", "--index", index_of(listed.cwd / "elsewhere", "none"))
    listed("leaderboard", "elsewhere")

    assert "done" in statuses(listed.cwd / "elsewhere").values()
