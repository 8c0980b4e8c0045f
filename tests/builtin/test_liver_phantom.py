from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lesionbench.builtin.liver_drawing import draw_picture, places_of
from lesionbench.builtin.liver_looks import CLASSES, LOOKS, Lesion
from lesionbench.builtin.liver_phantom import LiverPhantom
from lesionbench.builtin.liver_scene import Patient
from lesionbench.pipeline.dataset import LoadedDataset
from lesionbench.pipeline.split import divide, group_status, splits
from lesionbench.testing import dataset_checks


def small(**settings: int) -> LoadedDataset:
    return LiverPhantom(**{"cysts": 6, "metastases": 5, "hemangiomas": 4, **settings}).load(None)


@pytest.fixture(scope="module")
def default() -> LoadedDataset:
    return LiverPhantom().load(None)


class Few(LiverPhantom):
    """With defaults that take little time."""

    cysts: int = 8
    metastases: int = 8
    hemangiomas: int = 8


@pytest.mark.parametrize("check", dataset_checks(), ids=lambda check: check.__name__)
def test_liver_phantom_keeps_the_contract(check):
    check(LiverPhantom if check.__module__.endswith("settings") else Few)


def test_it_has_the_papers_182_lesions(default):
    assert default.images.classes == ("cyst", "metastasis", "hemangioma")
    assert np.bincount(default.images.labels).tolist() == [53, 64, 65]
    assert default.images.images.shape == (182, 64, 64, 1)


@pytest.mark.parametrize("seed", range(20))
def test_they_are_of_about_120_patients_with_one_to_five_lesions(seed):
    patients = [(place.main, place.patient) for place in places_of((53, 64, 65), seed)]
    lesions = [patients.count(patient) for patient in set(patients)]
    assert 105 <= len(lesions) <= 135
    assert max(lesions) <= 5


def test_few_patients_have_lesions_of_two_classes():
    places = places_of((530, 640, 650), 0)
    classes: dict[tuple[int, int], set[int]] = {}
    for place in places:
        classes.setdefault((place.main, place.patient), set()).add(place.label)
    mixed = sum(len(found) > 1 for found in classes.values())
    assert 0 < mixed < 0.1 * len(classes)


def test_the_groups_are_the_patients(default):
    places = places_of((53, 64, 65), 0)
    patients = [(place.main, place.patient) for place in places]
    _, expected = np.unique(patients, axis=0, return_inverse=True)
    _, found = np.unique(default.images.groups, return_inverse=True)
    assert len({*zip(expected.ravel().tolist(), found.tolist(), strict=True)}) == len(set(patients))
    assert len(set(found.tolist())) == len(set(patients))
    assert default.groups_known


def test_it_brings_no_split_and_can_be_folded_by_patients(default):
    assert default.is_test is None
    assert group_status(default, 3) == "apart"
    assert [len(split.test) for split in splits(default, divide(default, 3, 0.2, 0))] == pytest.approx([61] * 3, abs=3)


def test_the_same_seed_draws_the_same_bytes():
    assert small(seed=3).images.images.tobytes() == small(seed=3).images.images.tobytes()


def test_another_seed_draws_other_images():
    one, other = small(seed=0).images.images, small(seed=1).images.images
    assert not (one == other).all(axis=(1, 2, 3)).any()


def test_fewer_lesions_are_the_beginning_of_more():
    few, many = small(), small(cysts=9, metastases=8, hemangiomas=7)
    kept = np.isin(many.images.ids, few.images.ids)
    assert np.array_equal(many.images.images[kept], few.images.images)
    assert many.images.groups[kept].tolist() == few.images.groups.tolist()


@pytest.mark.parametrize("size", [16, 33, 100, 256])
def test_images_have_the_size_that_is_set(size):
    assert small(size=size).images.images.shape == (15, size, size, 1)


def test_a_lesion_looks_the_same_at_another_size():
    coarse, fine = (small(size=size).images.images.astype(float) for size in (32, 128))
    shrunk = fine.reshape(15, 32, 4, 32, 4, 1).mean(axis=(2, 4))
    assert np.abs(shrunk - coarse).mean() < 4  # of 255: bicubic is no mean


def test_every_image_differs_from_every_other(default):
    assert len({image.tobytes() for image in default.images.images}) == 182


def lesions_of(label: int) -> list[tuple[Lesion, Patient]]:
    found = []
    for number in range(200):
        rng = np.random.default_rng(number)
        patient = Patient.random(rng)
        found.append((Lesion.random(rng, label, patient), patient))
    return found


@pytest.mark.parametrize("label", range(3))
def test_lesions_measure_10_to_102_mm(label):
    diameters = [2 * lesion.radius for lesion, _ in lesions_of(label)]
    assert min(diameters) >= 10
    assert max(diameters) <= 102
    assert 20 < np.median(diameters) < 35


def test_cysts_are_darkest_and_sharpest_and_metastases_most_irregular_and_softest():
    dark, soft, irregular = (
        [np.mean([value(lesion.look) for lesion, _ in lesions_of(label)]) for label in range(3)]
        for value in (lambda look: look.core, lambda look: look.softness, lambda look: look.irregularity)
    )
    assert CLASSES[int(np.argmin(dark))] == CLASSES[int(np.argmin(soft))] == "cyst"
    assert CLASSES[int(np.argmax(irregular))] == CLASSES[int(np.argmax(soft))] == "metastasis"


def test_only_hemangiomas_have_nodules_and_these_are_brighter_than_the_rest():
    for label, name in enumerate(CLASSES):
        share = np.mean([len(lesion.look.nodules) > 0 for lesion, _ in lesions_of(label)])
        assert share == 0 if name != "hemangioma" else 0.6 < share < 0.95
    assert all(lesion.look.nodule >= 0 for lesion, _ in lesions_of(2))


def test_the_looks_of_the_classes_overlap():
    cores = [[look(np.random.default_rng(n), PATIENT).core for n in range(300)] for look in LOOKS]
    assert np.mean(np.array(cores[1]) < np.quantile(cores[0], 0.9)) > 0.1  # metastases as dark as cysts
    assert np.mean(np.array(cores[2]) < np.quantile(cores[1], 0.9)) > 0.5  # hemangiomas as dark as metastases


PATIENT = Patient(liver=108, blood=150, pixel=0.75, thickness=2.5, blur=0.6, noise=9, grain=0.7, level=70, width=320)


def test_a_picture_depends_on_its_place_alone():
    place = places_of((3, 1, 1), 5)[2]
    image = LiverPhantom(cysts=3, metastases=1, hemangiomas=1, seed=5).load(None).images.images[2]
    assert np.array_equal(draw_picture(5, place, 64), image)


def cross_validated(images: LoadedDataset, features: np.ndarray, strength: float) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(model, features, images.images.labels, groups=images.images.groups, cv=folds)
    return float(scores.mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_brightness_and_contrast_do_not_give_the_class_away(seed):
    data = LiverPhantom(seed=seed).load(None)
    pixels = data.images.images.reshape(182, -1) / 255
    features = np.stack([pixels.mean(1), pixels.std(1)], 1)
    assert cross_validated(data, features, 1.0) < 0.65


def test_pixels_alone_tell_the_classes_apart_but_not_well(default):
    assert 0.4 < cross_validated(default, default.images.images.reshape(182, -1) / 255, 0.001) < 0.75


def test_it_is_said_that_the_images_are_drawn(default):
    assert "drawn, not scanned" in default.notes[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 8}, "greater than or equal to 16"),
        ({"size": 512}, "less than or equal to 256"),
        ({"cysts": 0}, "greater than or equal to 1"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"tumours": 1}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        LiverPhantom(**settings)


def test_the_settings_class_is_imported_without_drawing_anything():
    code = "import sys, lesionbench.builtin.liver_phantom; print('lesionbench.builtin.liver_drawing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
