from __future__ import annotations

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from lesionbench.cli import main
from lesionbench.cli.plan import shares
from lesionbench.errors import OutputError, SettingsError
from lesionbench.evidence.statistics.power import smallest_difference
from lesionbench.experiment.plan_power import PowerRequest, power, power_request
from lesionbench.report.plan import how_long, power_lines


def planned(*arguments):
    """The lines of a plan of phantoms, made in this process; an error of ours is raised as it is."""
    result = CliRunner().invoke(main.app, ["plan", "--classifier", "linear", "--out", "o", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert 0 == result.exit_code, result.output
    return [" ".join(line.split()) for line in result.output.splitlines()]


SKIN = ("--dataset", "skin-phantom[train=60,test=60]")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_plan_ends_with_the_smallest_difference_at_three_discordances(tmp_path):
    lines = planned(*SKIN)
    start = lines.index("into o")

    assert (
        "the smallest difference McNemar's test sees with 80% power, in points, "
        "by the share of images on which exactly one arm is right" == lines[start + 1]
    )
    assert "images groups 0.1 0.2 0.3" == lines[start + 2]
    assert [line.split()[0] for line in lines[start + 3 : start + 6]] == ["sensitivity", "specificity", "accuracy"]
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_breaks_sentences_between_words(monkeypatch):
    whole = planned(*SKIN, "--discordance", 0.4)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")

    lines = planned(*SKIN, "--discordance", 0.4)

    assert max(map(len, lines)) <= 80 < max(map(len, whole))
    assert " ".join(lines).split() == " ".join(whole).split()


def test_one_discordance_is_described_in_sentences():
    lines = planned(*SKIN, "--discordance", 0.4)
    of_class = 100 * smallest_difference(30, 0.4)

    start = "with 30 malignant test images"
    (line,) = [line for line in lines if line.startswith(start)]
    assert (
        f"sees with 80% power a difference in sensitivity of {of_class:.1f} points or more, at a discordance of 0.4"
        in line
    )
    assert any(line.startswith("with 60 test images") and "difference in accuracy" in line for line in lines)


def test_a_difference_that_cannot_be_seen_is_said():
    lines = planned(*SKIN, "--discordance", 0.02)

    assert any("sees with 80% power no difference in sensitivity at a discordance of 0.02" in line for line in lines)
    table = planned(*SKIN, "--discordance", "0.02,0.5")
    assert "-: so few images show no difference, for none can be larger than the discordance" == table[-1]


def test_every_class_of_three_has_a_line():
    lines = planned("--dataset", "liver-phantom", "--split", 3)

    assert any(line.startswith("sensitivity of cyst 53 ") for line in lines)
    assert any(line.startswith("accuracy 182 ") for line in lines)


def test_the_groups_are_the_cautious_bound():
    lines = planned("--dataset", "liver-phantom", "--split", 3)
    images, groups = (
        int(number) for number in next(line for line in lines if line.startswith("accuracy")).split()[1:3]
    )

    assert groups < images
    told = [f"{100 * smallest_difference(count, 0.3):.1f}" for count in (images, groups)]
    assert any(line.endswith(f"{told[0]} ({told[1]})") for line in lines)
    assert "in brackets: if each group of images counts once, the cautious bound" in lines


@pytest.mark.parametrize("text", ["0", "1.5", "-0.1", "nan", "many", "0.1,,0.2", ""])
def test_a_discordance_that_is_no_share_is_reported(text):
    with pytest.raises(SettingsError, match=r"in \(0, 1\].*try (discordance=)?0\.15$"):
        power_request(shares(text), None)


def test_discordance_and_like_exclude_each_other(tmp_path):
    with pytest.raises(SettingsError, match="both are asked for; leave out discordance or like"):
        power_request([0.1], tmp_path)


def test_like_needs_a_run(tmp_path):
    with pytest.raises(OutputError, match="holds no experiment"):
        power_request(None, tmp_path / "nowhere")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run of two arms."""
    folder = tmp_path_factory.mktemp("run") / "r"
    run = ["run", *map(str, SKIN), "--classifier", "linear", "--augmenter", "noise", "--synthetic", "20"]
    run += ["--seeds", "1", "--jobs", "1", "--quiet", "--out", str(folder)]
    done = CliRunner().invoke(main.app, run, catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return folder


def test_like_takes_the_discordance_from_a_run(finished):
    lines = planned("--dataset", "skin-phantom[train=60,test=600]", "--like", finished)

    assert "note: that run is of skin-phantom[train=60,test=60], this plan of skin-phantom[train=60,test=600]" in lines
    assert any(line.startswith("noise@20, linear sensitivity (malignant) 300 ") for line in lines)
    assert any(line.startswith("noise@20, linear accuracy 600 ") for line in lines)


def test_like_needs_two_arms_of_one_classifier(finished, monkeypatch):
    from lesionbench.evidence.statistics import scores

    read = scores.arm_scores
    monkeypatch.setattr(scores, "arm_scores", lambda results: read(results)[:1])

    with pytest.raises(
        SettingsError, match=r"the baseline and another arm are done on the same seeds, but .* has none"
    ):
        power_request(None, finished)


def test_arms_that_agree_and_classes_that_are_not_there_are_reported():
    about = SimpleNamespace(classes=("a", "b"), positive_class="b", tested=((10, 10), (10, 10), (20, 20)))
    request = PowerRequest((), {"x@1, c": {"sensitivity": 0.0, "accuracy": 0.5}}, "d")
    lines = power_lines(power(about, "d", request))
    lines = [" ".join(line.split()) for line in lines]

    assert "x@1, c sensitivity (b) 10 10 0.000 none" in lines
    assert "x@1, c specificity (a) 10 10 not known" in lines
    assert (
        "no discordance: the two arms were right on the same images, so no smallest difference can be computed"
        == lines[-1]
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(56, "under a minute"), (60, "about 1.0 minutes"), (7199, "about 120.0 minutes"), (23364, "about 6.5 hours")],
)
def test_long_times_are_told_in_hours(seconds, words):
    assert how_long(seconds) == words
