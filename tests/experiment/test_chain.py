import csv
import hashlib
import json
import re
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from lesionbench.builtin.controls import NoAugmenter, Noise, RealHoldout
from lesionbench.errors import SettingsError
from lesionbench.experiment.chain import (
    Draw,
    Link,
    canonical,
    controls,
    described,
    drawing,
    draws,
    held_back,
    parse_chain,
)
from lesionbench.experiment.grid import GridArm, PoolJob, arms, cells, pool_jobs, pool_size, slug
from lesionbench.experiment.prepare import used_controls
from lesionbench.experiment.settings import Experiment
from lesionbench.pipeline.augmenter import Augmenter

RUN = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--seeds", 1)
RUN = (*RUN, "--jobs", 1)  # what two processes do is tested with runs


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("classic", (Link("classic", None),)),
        ("classic@480", (Link("classic", 480),)),
        ("a@5 + b[x=1,y=u+v]+c@7", (Link("a", 5), Link("b[x=1,y=u+v]", None), Link("c", 7))),
    ],
)
def test_a_chain_is_read_link_by_link(text, links):
    assert parse_chain(text) == links


@pytest.mark.parametrize(
    "text", ["a@0", "a@-1", "a@", "a@1.5", "a@@3", "+a", "a+", "none+a", "a+none", "@5", "a@3[x=1]", "none@5"]
)
def test_a_chain_that_cannot_be_read_is_refused(text):
    with pytest.raises(SettingsError):
        parse_chain(text)


def test_every_augmenter_of_a_chain_is_spelled_in_one_way():
    assert canonical("a @5+ b ", str.upper) == "A@5+B"


@pytest.mark.parametrize(
    ("text", "dose", "name", "shown", "drawn"),
    [
        ("a", 60, "a", 60, [("a", 60)]),
        ("a", 0, "none", 0, []),
        ("a+b", 60, "a+b", 60, [("a", 60), ("b", 60)]),
        ("a+b", 0, "none", 0, []),
        ("a@9+b", 60, "a@9+b", 60, [("a", 9), ("b", 60)]),
        ("a@9+b", 0, "a", 9, [("a", 9)]),
        ("a@9", 60, "a", 9, [("a", 9)]),
        ("a@9+b@3", 60, "a@9+b", 3, [("a", 9), ("b", 3)]),
        ("a+b@3", 60, "a@60+b", 3, [("a", 60), ("b", 3)]),
        ("a+b@60", 60, "a+b", 60, [("a", 60), ("b", 60)]),
        ("shuffled:a", 60, "shuffled:a", 60, [("a", 60, True)]),
        ("a+shuffled:b@9", 60, "a@60+shuffled:b", 9, [("a", 60), ("b", 9, True)]),
        ("real-holdout@9", 60, "real-holdout", 9, [("real-holdout", 9)]),
        ("real-holdout@9+a", 60, "real-holdout@9+a", 60, [("real-holdout", 9), ("a", 60)]),
    ],
)
def test_an_arm_is_named_after_its_chain_and_the_dose_of_its_last_link(text, dose, name, shown, drawn):
    assert (described(text, dose), draws(text, dose)) == ((name, shown), tuple(Draw(*one) for one in drawn))
    assert draws(name, shown) == draws(text, dose)  # the arm's name and dose say what it draws


def experiment(**settings):
    return Experiment.model_validate(settings)


def test_arms_that_are_the_same_stand_once():
    found = arms(experiment(augmenters=["a@9", "a@9+b"], synthetic=[0, 3], classifiers=["c"]))

    assert [(arm.augmenter, arm.synthetic_per_class) for arm in found] == [("none", 0), ("a", 9), ("a@9+b", 3)]


def test_no_two_cells_share_a_name():
    texts = ["a+b@10", "a+b", "a@10+b", "a@20+b@10", "a", "a@10"]
    found = cells(experiment(augmenters=texts, synthetic=[10, 20, 40], classifiers=["c"]), 1)

    assert len({cell.name for cell in found}) == len(found)


@pytest.mark.parametrize("spec", ["r[weights=/a/[x]/b.pt]", "r[x=ä/..]", "r[x=1]"])
def test_a_file_name_holds_nothing_that_a_path_could_trip_over(spec):
    assert re.fullmatch(r"r[a-z0-9_+@-]*-[0-9a-f]{6}", slug(spec))


def test_a_pool_is_as_large_as_the_largest_draw_from_it():
    grid = experiment(augmenters=["a@9+b", "a"], synthetic=[3, 7], classifiers=["c"])

    sizes = [
        pool_size(grid, job) for job in (PoolJob("a", 0, 1), PoolJob("b", 0, 1, (Draw("a", 9),)), PoolJob("z", 0, 1))
    ]

    assert sizes == [9, 7, 0]


def test_every_arm_is_run_with_every_augmenter_on_the_fly():
    found = arms(experiment(augmenters=["a"], synthetic=[3], classifiers=["c"], on_the_fly=["none", "f"]))

    assert found == [
        GridArm("none", 0, "none", "c"),
        GridArm("a", 3, "none", "c"),
        GridArm("none", 0, "f", "c"),
        GridArm("a", 3, "f", "c"),
    ]
    assert [arm.draws for arm in found] == [(), (Draw("a", 3),)] * 2


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def noted(folder):
    """What every fit was given: {file name: {role: list of digests}}."""
    return {file.name: dict(map(json.loads, file.read_text().splitlines())) for file in folder.iterdir()}


def test_each_link_learns_from_train_and_the_draws_before_it_and_the_classifier_from_all(with_spies):
    notes = with_spies.cwd / "notes"
    notes.mkdir()
    with_spies.environment["SPY_NOTES"] = str(notes)

    with_spies(*RUN, "--augmenter", "spy-copies@5+spy-negatives", "--synthetic", "4,6", "--split", 3, "--out", "o")

    train, negatives = digests(with_spies)
    seen = noted(notes)
    for fold in range(3):
        first = seen[f"spy-copies_fold{fold}_seed1"]["fit"]
        second = seen[f"spy-copies@5+spy-negatives_fold{fold}_seed1"]["fit"]
        assert set(first) == train[fold]
        assert (second[: len(first)], len(second)) == (first, len(first) + 2 * 5)
        assert set(second) == train[fold]  # the copies are copies
        for dose in (4, 6):
            drawn = seen[f"spy-copies@5+spy-negatives-{dose}_spy-centroids_fold{fold}_seed1"]["synthetic"]
            assert (drawn[:10], len(drawn)) == (second[-10:], 2 * 5 + 2 * dose)
            assert set(drawn[10:]) <= negatives[fold]
    rows = table(with_spies.cwd / "o" / "leaderboard.csv")
    assert [(row["augmenter"], row["synthetic_per_class"]) for row in rows][1:] == [
        ("spy-copies@5+spy-negatives", "4"),
        ("spy-copies@5+spy-negatives", "6"),
    ]


def digests(command_line):
    """For every fold, the digests of its training images and of their negatives."""
    stored = next((command_line.cwd / "o" / "store" / "datasets").glob("[0-9a-f]*"))
    images = dict(zip(np.load(stored / "ids.npy").tolist(), np.load(stored / "images.npy"), strict=True))
    rows = [row for row in table(command_line.cwd / "o" / "splits.csv") if row["part"] == "train"]
    found = []
    for change in (lambda image: image, lambda image: 255 - image):
        of_fold = [{sha256(change(images[row["id"]])) for row in rows if row["fold"] == str(fold)} for fold in range(3)]
        found.append(of_fold)
    return found


def sha256(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


def test_without_a_number_the_earlier_links_draw_the_dose(with_spies):
    with_spies(*RUN, "--augmenter", "spy-copies+spy-negatives", "--synthetic", "4,6", "--out", "o")

    fits = sorted(folder.name for folder in (with_spies.cwd / "o" / "logs").glob("*spy-negatives_fold*"))

    assert fits == ["spy-copies@4+spy-negatives_fold0_seed1", "spy-copies@6+spy-negatives_fold0_seed1"]


def test_a_chain_fails_with_its_first_link_and_the_rest_goes_on(with_spies):
    run = with_spies(
        *RUN, "--augmenter", "spy-copies[fails=true]+spy-negatives", "--augmenter", "spy-negatives",
        "--synthetic", 4, "--out", "o", status=1,
    )  # fmt: skip

    rows = table(with_spies.cwd / "o" / "cells.csv")

    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert "the loss must stay finite" in rows[1]["error"]
    assert "1 cell failed" in run.stdout


def test_on_the_fly_every_training_batch_is_changed_and_no_other_image(with_spies):
    notes = with_spies.cwd / "notes"
    notes.mkdir()
    with_spies.environment["SPY_NOTES"] = str(notes)

    with_spies(*RUN, "--on-the-fly", "none", "--on-the-fly", "spy-negatives", "--synthetic", 4,
               "--augmenter", "spy-copies", "--split", 3, "--out", "o")  # fmt: skip

    train, _ = digests(with_spies)
    seen = noted(notes)
    for fold in range(3):
        transformed = [
            set(roles["transform"]) for name, roles in seen.items() if f"fold{fold}" in name and "transform" in roles
        ]
        assert transformed
        assert all(images == train[fold] for images in transformed)
    rows = table(with_spies.cwd / "o" / "leaderboard.csv")
    assert [(row["augmenter"], row["on_the_fly"]) for row in rows] == [
        ("none", "none"), ("spy-copies", "none"), ("none", "spy-negatives"), ("spy-copies", "spy-negatives"),
    ]  # fmt: skip
    accuracy = [float(row["accuracy"]) for row in rows]
    assert max(accuracy[2:]) <= 0.5 < min(accuracy[:2])  # who learns negatives takes dark for bright


def test_a_classifier_that_ignores_what_changes_batches_fails_its_cells(with_spies):
    with_spies("run", "--dataset", "spy-dots", "--classifier", "spy-centroids[deaf=true]", "--positive-class", "b",
               "--seeds", 1, "--on-the-fly", "spy-negatives", "--out", "o", status=1)  # fmt: skip

    assert "never called `train.changed`" in table(with_spies.cwd / "o" / "cells.csv")[0]["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--on-the-fly", "spy-copies"), "can only draw new ones; use --augmenter spy-copies"),
        (("--on-the-fly", "spy-negatives@3"), "one augmenter changes batches, without + and @"),
        (("--on-the-fly", "spy-negative"), "did you mean 'spy-negatives'?"),
        (("--on-the-fly", "spy-negatives", "--classifier", "linear"), "'linear' learns from all images at once"),
        (("--augmenter", "spy-copies+spy-negative"), "did you mean 'spy-negatives'?"),
        (("--augmenter", "spy-copies@0+spy-negatives"), "a whole number of synthetic images per class"),
        (("--augmenter", "none+spy-negatives"), "'none' draws none"),
        (("--augmenter", "spy-copies+"), "a chain such as classic@480+dcgan"),
    ],
)
def test_what_cannot_be_chained_or_changed_is_one_message(with_spies, arguments, message):
    run = with_spies("run", "--dataset", "spy-dots", "--positive-class", "b", *arguments, "--out", "o", status=2)

    assert message in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (with_spies.cwd / "o").exists()


def test_the_confusion_of_every_cell_adds_up_to_its_rates(with_spies):
    with_spies(*RUN, "--augmenter", "spy-copies", "--synthetic", 4, "--out", "o")

    rows = table(with_spies.cwd / "o" / "leaderboard.csv")
    for row, cell in zip(rows, ("none", "spy-copies-4"), strict=True):
        matrix = table(with_spies.cwd / "o" / "confusion" / f"{cell}_spy-centroids_fold0_seed1.csv")
        counts = {line["true_class"]: {name: int(line[f"predicted_{name}"]) for name in "ab"} for line in matrix}
        right = counts["a"]["a"] + counts["b"]["b"]
        assert f"{right / 30:.4f}" == row["accuracy"]
        assert f"{counts['b']['b'] / sum(counts['b'].values()):.4f}" == row["sensitivity"]


def test_a_package_brings_a_data_command(with_spies):
    listed, done = with_spies("data", "--help"), with_spies("data", "count-dots", "--number", 4)
    refused = with_spies("data", "count-dots", "--number", -1, status=2)

    assert "count-dots" in listed.stdout
    assert done.stdout == "4 dots\n"
    assert refused.stderr == "lesionbench: a number of dots is 0 or more, not -1\n"


def test_controls_are_added_for_every_augmenter_that_is_none_itself():
    def is_augmenter(name):
        return name != "oversample"

    added = controls(["a[x=1]", "a+b@5", "oversample"], [0, 60, 480], is_augmenter)

    assert added == ["oversample", "noise", "shuffled:a[x=1]", "a+shuffled:b@5", "real-holdout@20"]
    assert "real-holdout@20" not in controls(["a", "real-holdout@7"], [60], is_augmenter)


class NoiseGan(Augmenter):
    name: ClassVar[str] = "noise-gan"

    def fit(self, train, context):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("noise", "control"),
        ("noise-gan", "augmenter"),
        ("noise-gan+noise", "control"),
        ("noise+noise-gan", "augmenter"),
        ("shuffled:noise-gan", "control"),
        ("noise-gan+shuffled:noise-gan", "control"),
        ("real-holdout", "control"),
        ("real-holdout@5+noise-gan", "augmenter"),
        ("none", "augmenter"),
    ],
)
def test_an_arm_is_a_control_when_the_last_link_of_its_chain_says_so_whatever_its_name(text, family):
    installed = {"none": NoAugmenter(), "noise": Noise(), "noise-gan": NoiseGan(), "real-holdout": RealHoldout()}
    controls = used_controls(experiment(augmenters=[text]), SimpleNamespace(augmenter=installed.__getitem__))
    role = GridArm(text, 0 if text == "none" else 60, "none", "c").role(controls)

    assert role.family == family
    assert (role.is_baseline, role.holds_back) == (text == "none", text.startswith("real-holdout"))
    assert role.makes_images == (text not in ("none", "real-holdout"))


def test_a_shuffled_arm_draws_on_the_same_pool_as_the_arm_itself():
    arm, control = (GridArm(text, 60, "none", "c") for text in ("a", "shuffled:a"))

    assert pool_jobs(arm.draws, 0, 1) == pool_jobs(control.draws, 0, 1) == (PoolJob("a", 0, 1),)


def test_what_is_held_back_applies_to_every_later_link():
    chain = draws("real-holdout@9+a", 60)

    assert (held_back(chain), drawing(chain)) == (9, (Draw("a", 60),))
    assert pool_jobs(chain, 0, 1) == (PoolJob("a", 0, 1, (Draw("real-holdout", 9),)),)


def notes(folder, role):
    """How many images each fit of this role was given, by the folder of the fit."""
    found = {}
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            noted, digests = json.loads(line)
            if noted == role:
                found.setdefault(path.name, []).append(len(digests))
    return found


def test_an_arm_with_real_images_held_back_learns_from_the_rest(with_spies):
    folder = with_spies.cwd / "notes"
    folder.mkdir()
    with_spies.environment["SPY_NOTES"] = str(folder)
    chain = ("--augmenter", "real-holdout", "--augmenter", "real-holdout@5+spy-copies")
    with_spies(*RUN, *chain, "--synthetic", 5, "--out", "o")

    real, synthetic = (
        {name.partition("_fold")[0]: counts[0] for name, counts in notes(folder, role).items()}
        for role in ("train", "synthetic")
    )
    whole = real["none_spy-centroids"]
    assert real["real-holdout-5_spy-centroids"] == whole - 10  # five of each of two classes
    assert real["real-holdout@5+spy-copies-5_spy-centroids"] == whole - 10
    assert synthetic["real-holdout@5+spy-copies-5_spy-centroids"] == 10
    assert notes(folder, "fit")["real-holdout@5+spy-copies_fold0_seed1"] == [whole - 10]  # the augmenter's own fit


def test_several_classifier_seeds_share_one_augmenter_fit(with_spies):
    with_spies(*RUN, "--augmenter", "spy-copies", "--synthetic", 5, "--classifier-seeds", 2, "--out", "o")

    with (with_spies.cwd / "o" / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ["1", "1", "2", "2"] == sorted(row["classifier_repeat"] for row in rows)
    assert 1 == len({row["augmenter_seed"] for row in rows if row["augmenter_seed"]})
    assert 2 == len({row["classifier_seed"] for row in rows})
