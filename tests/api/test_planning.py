"""Planning, auditing a split and checking a plugin from Python."""

import numpy as np
import pytest
from made_images import small_images

import lesionbench
from lesionbench import Augmenter, OutputError, SettingsError
from lesionbench.builtin.controls import Noise
from lesionbench.experiment.machine import computes_in_bf16

QUICK = {"augmenters": "noise", "classifiers": "linear", "synthetic": 4, "seeds": 1, "split": 2}


def test_a_plan_counts_cells_and_writes_nothing(tmp_path):
    plan = lesionbench.plan(small_images(), out=tmp_path / "run", **QUICK)

    assert len(plan.cells) == 4
    assert not plan.cells["done"].any()
    assert plan.never_timed == ["noise", "linear"]
    assert "4 to do, after 2 augmenter fits" in repr(plan)
    assert "<pre>" in plan._repr_html_()
    assert list(tmp_path.iterdir()) == []


def test_a_plan_says_what_the_test_images_can_show():
    power = lesionbench.plan(small_images(count=400), discordance=0.2, **QUICK).power

    assert list(power["rate"]) == ["sensitivity", "specificity", "accuracy"]
    assert list(power["images"]) == [200, 200, 400]
    of_all = power.set_index("rate").loc["accuracy"]
    assert of_all["difference"] < of_all["difference_by_group"]


def test_a_plan_like_a_run_takes_its_discordances(small_run):
    power = lesionbench.plan(small_images(), like=small_run, **QUICK).power

    assert "noise@8, linear" in set(power["arm"])


def test_a_plan_of_a_finished_run_has_nothing_to_do(small_run):
    plan = lesionbench.plan(
        small_images(),
        augmenters=["oversample", "noise", "real-holdout"],
        synthetic=[4, 8],
        classifiers="linear",
        split=2,
        seeds=2,
        out=small_run.folder,
    )

    assert plan.cells["done"].all()


@pytest.mark.parametrize(
    ("flags", "precision", "classifier", "note"),
    [
        ("avx512_bf16 amx_bf16", "auto", "kth-cnn", "note: this processor computes in bf16"),
        ("avx512_bf16 amx_bf16", "fp32", "kth-cnn", ""),
        ("avx512_bf16 amx_bf16", "bf16", "kth-cnn", ""),
        ("avx512_bf16 amx_bf16", "auto", "linear", ""),
        ("avx512_bf16", "auto", "kth-cnn", "note: this processor has instructions for bf16"),
        ("avx2", "bf16", "kth-cnn", "note: this processor does not compute in bf16"),
        ("avx2", "auto", "kth-cnn", ""),
        (None, "bf16", "kth-cnn", ""),
    ],
)
def test_a_plan_says_which_precision_is_faster_on_this_processor(monkeypatch, flags, precision, classifier, note):
    monkeypatch.setattr("lesionbench.experiment.machine._cpuinfo", {"flags": flags}.get)
    plan = lesionbench.plan(small_images(), device="cpu", precision=precision, **{**QUICK, "classifiers": classifier})

    notes = [line for line in repr(plan).splitlines() if "bf16" in line]
    assert len(notes) == bool(note)
    assert "".join(notes).startswith(note)


@pytest.mark.parametrize(
    ("flags", "found"), [("fpu amx_bf16", True), ("avx512_bf16 fpu", True), ("avx2", False), (None, None)]
)
def test_the_processor_says_whether_it_computes_in_bf16(monkeypatch, flags, found):
    monkeypatch.setattr("lesionbench.experiment.machine._cpuinfo", {"flags": flags}.get)

    assert computes_in_bf16() is found


def test_a_plan_counts_as_many_processes_as_memory_holds(monkeypatch):
    monkeypatch.setattr("lesionbench.experiment.plan.default_jobs", lambda _: 8)
    monkeypatch.setattr(Noise, "memory_gb", 2.0)

    def jobs(asked, free):
        monkeypatch.setattr("lesionbench.experiment.plan.free_gigabytes", lambda: free)
        return lesionbench.plan(small_images(), jobs=asked, **QUICK).found.jobs

    assert [jobs("auto", free) for free in (1.0, 7.0, 99.0, None)] == [1, 3, 8, 8]
    assert [jobs(3, 1.0), jobs("4", 1.0), jobs(None, 7.0)] == [3, 4, 3]


def test_a_plan_into_the_folder_of_another_experiment_is_refused(small_run):
    with pytest.raises(OutputError, match="holds another experiment"):
        lesionbench.plan(small_images(), out=small_run.folder, **QUICK)


def test_the_split_of_arrays_can_be_audited():
    images = small_images().data.images
    is_test = np.arange(60) >= 40
    pixels = images.images.copy()
    pixels[50] = pixels[3]

    dataset = lesionbench.images(pixels, images.labels, images.groups, is_test=is_test)
    audit = lesionbench.audit_split(dataset)

    assert audit.is_leaking
    assert repr(audit) == "<SplitAudit of 'arrays': 2 of 60 images have a twin in another part>"
    assert "2 of 60 images" in audit._repr_html_()
    assert {"0003", "0050"} in [{pair.id_a, pair.id_b} for pair in audit.pairs.itertuples()]


def test_the_split_of_a_run_can_be_audited_with_its_leaderboard(small_run):
    audit = lesionbench.audit_split(small_images(), run=small_run)

    assert set(audit.leaderboard["augmenter"]) == {"none", "oversample", "noise", "real-holdout"}


class Broken(Augmenter):
    name = "broken"

    def fit(self, train, context):
        raise ValueError("no")


def test_checks_are_a_table_for_a_name_a_class_or_an_object():
    by_name, by_class = lesionbench.check("noise"), lesionbench.check(Noise)

    assert list(by_name.columns) == ["kind", "check", "outcome", "reason"]
    assert not (by_name["outcome"] == "FAILED").any()
    assert by_name.equals(by_class)
    failed = lesionbench.check(Broken()).query("outcome == 'FAILED'")
    assert failed["reason"].str.contains("no").any()


def test_what_is_no_plugin_cannot_be_checked():
    with pytest.raises(SettingsError, match="subclass of Dataset, Augmenter or Classifier, and int is none"):
        lesionbench.check(3)


BAD = {
    "'x'; try discordance=0.15": {"discordance": "x"},
    "not True": {"discordance": [0.1, True]},
    "like is a path": {"like": 3},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_of_a_plan_are_refused(message):
    with pytest.raises(SettingsError, match=message):
        lesionbench.plan(small_images(), **BAD[message])


def test_discordances_may_be_an_array():
    assert set(lesionbench.plan(small_images(), discordance=np.array([0.1, 0.4])).power["discordance"]) == {0.1, 0.4}


BAD_AUDITS = {
    "a dataset is a name or an object": {"dataset": 3},
    "lesionbench.images": {"dataset": np.zeros((4, 8, 8), np.uint8)},
    "near=0.85": {"dataset": small_images(), "near": "x"},
    "leave out data": {"dataset": small_images(), "data": "."},
    "leave out images": {"dataset": small_images(), "images": "."},
    "run is a path": {"dataset": small_images(), "run": 3},
}


@pytest.mark.parametrize("message", BAD_AUDITS)
def test_bad_arguments_of_an_audit_are_refused(message):
    with pytest.raises(SettingsError, match=message):
        lesionbench.audit_split(**BAD_AUDITS[message])
