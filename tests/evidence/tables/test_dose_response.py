"""The curve over doses, the dose that is enough, the dose that validation chooses, and what a real image is worth."""

import csv
import tomllib

import numpy as np
import pytest
from made_arms import arm, world

from lesionbench.errors import OutputError
from lesionbench.evidence.statistics.scores import arm_scores
from lesionbench.evidence.tables.dose_response import choice_row, curves, dose_rows
from lesionbench.evidence.tables.exchange import exchange_rows
from lesionbench.pipeline.leaderboard import ArmResult
from lesionbench.pipeline.predictions import Predictions
from lesionbench.report.terminal import print_doses

DOSES = (0, 60, 120, 240, 480)


def dosed(effects, seed=0, name="gan", doses=DOSES, **shape):
    """Test and validation arms of one augmenter: the effect of each dose is given."""
    made = []
    for part in range(2):
        arms = world(np.random.default_rng([seed, part]), groups=500, effects=effects, luck=0.05, **shape)
        made.append(
            [
                arm(one.labels, one.scores[:, :, 1], one.groups, one.folds, name if dose else "none", dose)
                for one, dose in zip(arms, doses, strict=True)
            ]
        )
    return made


def told(effects, margin=0.02, **shape):
    arms, validation = dosed(effects, **shape)
    (curve,) = curves(arms, validation, "auc")
    rows = dose_rows(curve, margin)
    return rows, choice_row(curve, rows, margin)


def test_where_no_dose_does_anything_0_is_enough():
    rows, choice = told((0.0,) * 5)

    assert choice["smallest_not_inferior_dose"] == 0
    assert [row["synthetic_per_class"] for row in rows] == list(DOSES)


def test_where_only_large_doses_help_a_large_one_is_needed():
    _, choice = told((0.0, 0.1, 0.3, 2.0, 2.0), margin=0.05)

    assert choice["smallest_not_inferior_dose"] == 240
    assert choice["chosen_dose"] in (240, 480)


def test_the_best_on_test_never_looks_worse_than_the_dose_that_validation_chose():
    for seed in range(6):
        _, choice = told((0.0,) * 5, seed=seed)

        assert choice["optimism"] >= 0
        assert choice["best_on_test"] - choice["chosen_on_test"] == pytest.approx(choice["optimism"])


def test_the_curve_runs_through_a_line_and_lies_inside_its_band():
    rows, _ = told((0.0, 0.4, 0.7, 1.0, 1.2))

    for row in rows:
        assert row["fitted_low"] < row["fitted"] < row["fitted_high"]
        assert row["fitted"] == pytest.approx(row["estimate"], abs=0.02)


def test_three_doses_have_a_straight_line_and_two_have_one_through_both():
    (curve,) = curves(*dosed((0.0, 0.5, 1.0), doses=(0, 60, 480)), "auc")

    assert curve.smoother(curve.doses).shape == (3, 3)
    assert np.trace(curve.smoother(curve.doses)) == pytest.approx(2)  # the parameters of a line


def test_in_folds_each_fold_chooses_for_itself():
    _, choice = told((0.0, 0.1, 0.3, 0.6, 0.6), folds=3)

    assert len(choice["chosen_per_fold"].split(";")) == 3


def test_one_seed_says_that_the_luck_of_training_is_unknown():
    rows, choice = told((0.0, 0.1, 0.3, 0.6, 0.6), repeats=1)

    assert choice["smallest_not_inferior_dose"] is None
    assert "--seeds 3" in choice["reason"]
    assert any("--seeds 3" in row["reason"] for row in rows)


def test_one_dose_is_no_curve():
    arms, validation = dosed((0.0, 0.1), doses=(0, 60))

    assert curves(arms, validation, "auc") == []


def results(ids, name, dose):
    described = arm([0, 1], [0.1, 0.9], name=name, dose=dose)
    images = np.array(ids)
    labels = np.arange(len(ids)) % 2
    scores = np.full((len(ids), 2), 0.5)
    one = Predictions("test", 0, images, np.arange(len(ids)), labels, scores, ("benign", "malignant"))
    return ArmResult(described.arm, described.role, 1, {(1, 1): [one]}, 0)


def test_doses_from_two_experiments_are_refused():
    with pytest.raises(OutputError, match="two experiments"):
        arm_scores([results(["a", "b"], "none", 0), results(["a", "c"], "gan", 60)])


def exchanged(real, synthetic):
    """What 100 real images are worth when none has effect 0, and doses have these effects."""
    effects = (0.0, -real, *synthetic)
    arms = world(np.random.default_rng(8), groups=900, effects=effects, luck=0.02)
    named = [("none", 0), ("real-holdout", 100), ("gan", 50), ("gan", 200), ("gan", 400), ("noise", 400)]
    arms = [
        arm(one.labels, one.scores[:, :, 1], one.groups, name=name, dose=dose)
        for one, (name, dose) in zip(arms, named, strict=False)
    ]
    (row,) = exchange_rows(arms, "auc")
    return row


def test_a_real_image_is_worth_as_many_synthetic_ones_as_gain_the_same():
    row = exchanged(0.6, (0.1, 1.2, 1.5))

    assert (row["real_per_class"], row["same_gain_dose"], row["real_image_worth"]) == (100, 200, 2.0)


def test_synthetic_images_that_gain_nothing_have_no_rate():
    row = exchanged(0.8, (0.0, 0.0, 0.0))

    assert row["real_image_worth"] is None
    assert "worth more than 4 synthetic ones" in row["reason"]


def test_real_images_that_gain_nothing_have_no_rate():
    row = exchanged(0.0, (0.1, 0.2, 0.3))

    assert row["real_image_worth"] is None
    assert "not sure" in row["reason"]


RUN = ("run", "--dataset", "spy-dots", "--classifier", "linear", "--positive-class", "b", "--augmenter", "spy-copies")
RUN = (*RUN, "--jobs", 1)


def rows_in(folder, table):
    with (folder / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_with_doses_and_controls_writes_every_table(with_spies):
    done = with_spies(*RUN, "--synthetic", "0,5,20", "--controls", "--seeds", 2, "--out", "o").stdout
    out = with_spies.cwd / "o"

    arms = {row["augmenter"] for row in rows_in(out, "leaderboard")}
    assert {"none", "spy-copies", "oversample", "noise", "shuffled:spy-copies", "real-holdout"} == arms
    noted = tomllib.loads((out / "experiment.toml").read_text())["resolved"]
    assert noted["controls"] == ["oversample", "noise", "real-holdout"]
    assert {row["family"] for row in rows_in(out, "comparisons")} == {"augmenter", "control"}
    assert [row["synthetic_per_class"] for row in rows_in(out, "dose_response")][:3] == ["0", "5", "20"]
    assert rows_in(out, "dose_choice")[0]["augmenter"] == "spy-copies"
    assert rows_in(out, "exchange")[0]["real_per_class"] == "5"
    assert {row["held"] for row in rows_in(out, "operating_points")} == {"specificity", "sensitivity"}
    assert "against none, judged by auc" in done
    assert (out / "dose_response.png").stat().st_size > 5000
    before = {path.name: path.read_bytes() for path in out.glob("*.csv")}
    with_spies("leaderboard", "o")
    assert before == {path.name: path.read_bytes() for path in out.glob("*.csv")}


def test_other_judging_is_kept_and_a_wrong_one_changes_nothing(with_spies):
    with_spies(*RUN, "--synthetic", "5", "--seeds", 2, "--out", "o")
    out = with_spies.cwd / "o"
    with_spies("leaderboard", "o", "--baseline", "spy-copies@5", "--margin", "0.1", "--judged-by", "accuracy")

    (row,) = rows_in(out, "comparisons")
    assert (row["augmenter"], row["baseline"], row["judged_by"]) == ("none", "spy-copies@5", "accuracy")
    kept = (out / "experiment.toml").read_text()
    for wrong in (("--baseline", "nobody"), ("--margin", "2"), ("--margin", "x"), ("--judged-by", "luck")):
        refused = with_spies("leaderboard", "o", *wrong, status=2).stderr
        assert wrong[1] in refused
    assert kept == (out / "experiment.toml").read_text()
    with_spies(*RUN, "--synthetic", "5", "--seeds", 2, "--out", "o")  # another way to judge is the same experiment
    assert rows_in(out, "comparisons")[0]["baseline"] == "none"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baseline", "nobody"), "the baseline must be an arm of the run"),
        (("--augmenter", "real-holdout@30"), "write --augmenter real-holdout@"),
        (("--augmenter", "spy-copies+real-holdout"), "stands first"),
        (("--augmenter", "shuffled:none"), "draws none"),
        (("--augmenter", "shuffled:real-holdout"), "none to shuffle"),
        (("--classifier-seeds", "0"), "classifier_seeds"),
        (("--operating-point", "1.5"), "operating_point"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(with_spies, arguments, said):
    refused = with_spies(*RUN, "--synthetic", "5", *arguments, "--out", "o", status=2).stderr

    assert said in refused
    assert not (with_spies.cwd / "o" / "leaderboard.csv").exists()


def test_a_dose_is_said_with_its_classifier_where_several_are_compared(capsys):
    row = {"augmenter": "classic", "on_the_fly": "none", "smallest_not_inferior_dose": 20, "margin": 0.02}
    row |= {"chosen_dose": 40, "chosen_on_test": 0.9, "best_on_test_dose": 40, "optimism": 0.0}

    print_doses([row | {"classifier": "linear"}, row | {"classifier": "kth-cnn", "optimism": 0.01}])

    of_linear, of_cnn = capsys.readouterr().out.replace("\n", " ").split(" kth-cnn: ")
    assert of_linear.startswith("classic, linear: dose 20 is enough")
    assert "points better" not in of_linear
    assert "looks +1.00 points" in of_cnn
    print_doses([row | {"classifier": "linear"}])
    assert capsys.readouterr().out.startswith("classic: dose 20 is enough")
