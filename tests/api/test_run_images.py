"""A run's images in Python: synthetic pools as arrays, pictures, and audits."""

import numpy as np
import pytest

import lesionbench
from lesionbench import OutputError, SettingsError


def test_the_pool_of_an_arm_has_its_dose_of_every_class(small_run):
    images, labels = small_run.pool("noise@8", fold=1, seed=2)

    assert images.shape == (16, 12, 12, 1)
    assert images.dtype == np.uint8
    assert labels.tolist() == [0] * 8 + [1] * 8


def test_a_smaller_dose_is_the_beginning_of_a_larger_one(small_run):
    small, large = small_run.pool("noise@4")[0], small_run.pool("noise@8")[0]

    assert np.array_equal(small[:4], large[:4])
    assert np.array_equal(small[4:], large[8:12])


def test_an_arm_without_synthetic_images_is_refused_with_those_that_have_some(small_run):
    with pytest.raises(SettingsError, match=r"'real-holdout@4' has no synthetic images .*oversample@4, oversample@8"):
        small_run.pool("real-holdout@4")


def test_an_unknown_arm_fold_or_seed_is_refused(small_run):
    with pytest.raises(SettingsError, match=r"no arm 'noise'; did you mean 'noise@8'"):
        small_run.pool("noise")
    with pytest.raises(SettingsError, match="2 folds from 0 and 2 seeds from 1, but no fold 2 with seed 1"):
        small_run.pool("noise@4", fold=2)


def test_a_pool_that_is_no_longer_in_the_store_is_not_made_again(small_run, tmp_path):
    import shutil

    shutil.copytree(small_run.folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "store" / "pools")

    with pytest.raises(OutputError, match=r"is not in .*; run the experiment again"):
        lesionbench.open(tmp_path / "copy").pool("noise@4")


def test_pictures_are_shown_in_a_notebook_and_listed_elsewhere(small_run):
    of_one, of_all = small_run.show("noise@4"), small_run.show()

    assert len(of_one.paths) == 2  # a class each
    assert len(of_all.paths) == 5  # and the dose response
    assert repr(of_one).splitlines() == [str(path) for path in of_one.paths]
    assert of_one._repr_html_().count("data:image/png;base64,") == 2


def test_the_audit_of_the_samples_counts_copies(small_run, tmp_path):
    audit = small_run.audit_samples()

    assert len(repr(audit)) < 200
    assert "synthetic images are copies" in audit._repr_html_()
    assert (tmp_path / "audit" / "memorisation.csv") in audit.write(str(tmp_path / "audit"))
    shares = audit.pools.query("`class` == 'all'").set_index("augmenter")["copies_share"]
    assert (shares["oversample"] == 1).all()
    assert (shares["noise"] < 0.5).all()


def test_the_audit_of_fidelity_has_a_row_for_each_pool_and_class(small_run):
    assert set(small_run.audit_fidelity().pools["augmenter"]) == {"oversample", "noise"}


BAD = {
    "there is no arm 3": lambda run: run.pool(3),
    "not 'x'; try false_alarms=0.01": lambda run: run.audit_samples(false_alarms="x"),
    "features is a path": lambda run: run.audit_fidelity(features=3),
}


@pytest.mark.parametrize("message", BAD)
def test_arguments_of_the_wrong_type_are_refused(small_run, message):
    with pytest.raises(SettingsError, match=message):
        BAD[message](small_run)
