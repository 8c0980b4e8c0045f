"""Whatever a user gets wrong: one message, exit status 2, nothing half-written."""

import shutil

import pytest

WITHOUT_GPU = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU here")
RUN = ("run", "--dataset", "spy-dots", "--positive-class", "b", "--classifier", "spy-centroids", "--out", "o")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--augmenter", "dcgna"], "no augmenter 'dcgna' is installed; did you mean 'dcgan'?"),
        (["--classifier", "kth-cn"], "no classifier 'kth-cn' is installed; did you mean 'kth-cnn'?"),
        (["--dataset", "skin-leson"], "no dataset 'skin-leson' is installed; did you mean 'skin-lesion'?"),
        (["--augmenter", "dcgan[step=3]"], "augmenter 'dcgan' has no setting 'step'; did you mean 'steps'?"),
        (["--augmenter", "dcgan[steps=0]"], "steps: Input should be greater than or equal to 1, not '0'"),
        (["--synthetic", "-5"], "a dose is a whole number of synthetic images per class"),
        (["--synthetic", "many"], "a dose is a whole number of synthetic images per class"),
        (["--synthetic", "1.5"], "a dose is a whole number of synthetic images per class"),
        (["--synthetic", "120,,480"], "a dose is a whole number of synthetic images per class"),
        (["--split", "1"], "a split is `official` or a number of folds, 2 or more"),
        (["--split", "offical"], "a split is `official` or a number of folds"),
        (["--split", "50"], "50 group-wise parts need at least 50 groups of every class, but 'a' has 15"),
        (["--seeds", "0"], "seeds: Input should be greater than or equal to 1, not '0'; try --seeds 3"),
        (["--seeds", "x"], "seeds: a whole number is needed, not 'x'; try --seeds 3"),
        (["--classifier-seeds", "1e9"], "a whole number is needed, not '1e9'; try --classifier-seeds 1"),
        (["--augmenter", "dcgan[steps=1e3]"], "steps: a whole number is needed, not '1e3'; see: lesionbench plugins"),
        (["--scheduler", "tcp://127.0.0.1:8786"], "the executor 'local' has no scheduler; leave out --scheduler"),
        (["--store", "/dev/null"], "the output must be a folder, but /dev/null is a file; choose another --store"),
        (["--out", "a" * 300], "(File name too long); choose another --out"),
        (["--out", "/dev/null/o"], "the output must be a folder, but /dev/null is a file; choose another --out"),
        (["--validation", "0.9"], "validation: Input should be less than or equal to 0.5"),
        (["--positive-class", "malignnt"], "the positive class must be one of a, b, not 'malignnt'"),
        (["--data", "."], "leave out --data"),
        (["--device", "gpu"], "device: Input should be 'auto', 'cpu' or 'cuda', not 'gpu'"),
        pytest.param(["--device", "cuda"], "device cuda needs a GPU", marks=WITHOUT_GPU),
        (["--executor", "slurm"], "no executor 'slurm' is installed (installed: dask, local"),
        (["--executor", "dusk"], "no executor 'dusk' is installed; did you mean 'dask'?"),
        (["--executor", "dask[address=x]"], "executor 'dask' has no setting 'address' (settings: scheduler)"),
        (["--executor", "dask"], "add --scheduler tcp://127.0.0.1:8786"),
        (["--jobs", "9" * 400], "a whole number from 1 to 4096, or auto, not '999"),
        (["--jobs", "0"], "a whole number from 1 to 4096, or auto, not '0'; try --jobs 2"),
    ],
)
def test_a_wrong_option_is_one_message_and_nothing_is_written(with_spies, arguments, message):
    refused = with_spies(*RUN, *arguments, status=2)

    assert message in " ".join(refused.stderr.replace("│", " ").split())
    assert list(with_spies.cwd.iterdir()) == []


def test_two_classes_without_a_positive_one_must_be_told_apart(with_spies):
    refused = with_spies("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", status=2)

    assert "add --positive-class b or a" in refused.stderr


def test_a_positive_class_among_three_is_refused(with_spies):
    refused = with_spies(*RUN, "--dataset", "spy-dots[classes=3]", status=2)

    assert "a positive class can be named only for two classes, but 'spy-dots' has 3" in refused.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datset = 'x'\n", "an experiment has no setting 'datset'; did you mean 'dataset'?"),
        ("dataset = \n", "must be a TOML file"),
        ("augmenters = 3\n", "augmenters"),
        ("synthetic = []\n", "synthetic"),
        ("[classifiers]\nx = 1\n", "classifiers"),
    ],
)
def test_a_wrong_experiment_file_is_one_message(with_spies, text, message):
    (with_spies.cwd / "experiment.toml").write_text(text)

    refused = with_spies("run", "experiment.toml", status=2)

    assert message in refused.stderr
    assert [path.name for path in with_spies.cwd.iterdir()] == ["experiment.toml"]


def test_an_experiment_file_that_is_not_there_is_named(with_spies):
    assert "there is no experiment file no.toml" in with_spies("run", "no.toml", status=2).stderr


def test_options_win_over_the_file(with_spies):
    (with_spies.cwd / "experiment.toml").write_text("dataset = 'spy-dots'\nseeds = 7\npositive_class = 'b'\n")

    planned = with_spies("plan", "experiment.toml", "--seeds", 2, "--classifier", "spy-centroids").stdout

    assert "x 2 seeds" in planned


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("mine"), "the output must be a folder, but o is a file"),
        (lambda path: (path.mkdir(), (path / "thesis.doc").write_text("mine")), "but o holds other files"),
        (lambda path: (path.mkdir(), (path / "experiment.toml").write_text("x =")), "is not what a run writes"),
    ],
)
def test_an_output_folder_that_is_not_ours_is_left_alone(with_spies, make, message):
    make(with_spies.cwd / "o")
    before = sorted(path.name for path in with_spies.cwd.rglob("*"))

    refused = with_spies(*RUN, status=2)

    assert message in refused.stderr
    assert sorted(path.name for path in with_spies.cwd.rglob("*")) == before


def test_a_leaderboard_of_no_run_is_refused(lesionbench):
    assert "holds no experiment" in lesionbench("leaderboard", "nowhere", status=2).stderr


def test_a_file_in_place_of_a_run_is_no_run(lesionbench, tmp_path):
    (tmp_path / "table.csv").write_text("a,b")

    refused = lesionbench("leaderboard", tmp_path / "table.csv", status=2)

    assert "table.csv holds no experiment" in refused.stderr


def test_an_unknown_plugin_to_show_is_refused(lesionbench):
    assert "did you mean 'dcgan'?" in lesionbench("plugins", "dcgam", status=2).stderr


def test_the_settings_of_a_plugin_are_shown_with_their_defaults(lesionbench):
    shown = lesionbench("plugins", "kth-cnn").stdout

    assert "classifier kth-cnn  (lesionbench-paper-cnns)" in shown
    assert "steps = 1500" in shown


def test_a_plan_runs_nothing_and_writes_nothing(with_spies):
    planned = with_spies(
        *("plan", "--dataset", "spy-dots", "--positive-class", "b", "--classifier", "spy-centroids", "--seeds", 2),
        *("--augmenter", "oversample", "--synthetic", "5,9", "--split", "3", "--out", "o"),
    ).stdout

    assert "3 arms x 3 folds x 2 seeds = 18 cells: 0 done, 18 to do, after 6 augmenter fits" in planned
    assert (
        "this store has no time of oversample, spy-centroids: add --measure to time a few steps, or name a --store"
        in planned
    )
    assert list(with_spies.cwd.iterdir()) == []


def test_a_plan_asks_a_fit_itself_how_many_steps_it_has(with_spies):
    planned = with_spies(
        *("plan", "--dataset", "spy-dots", "--positive-class", "b", "--classifier", "spy-centroids"),
        *("--augmenter", "spy-schedule", "--measure", "--jobs", 1, "--seeds", 1, "--out", "o"),
    ).stdout

    minutes = float(planned.partition("about ")[2].partition(" ")[0])
    assert 9 < minutes < 20  # 60,000 steps of 10 ms


def test_a_plan_can_time_a_few_steps_of_what_never_ran(with_spies):
    planned = with_spies(
        *("plan", "--dataset", "spy-dots", "--positive-class", "b", "--classifier", "spy-centroids"),
        *("--augmenter", "spy-copies[seconds=1]", "--measure", "--jobs", 1, "--seeds", 60, "--out", "o"),
    ).stdout

    assert "about 1.0 minutes with --jobs 1" in planned
    assert list(with_spies.cwd.iterdir()) == []
