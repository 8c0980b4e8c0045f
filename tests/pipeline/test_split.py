import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesionbench import LabelledImages, LoadedDataset
from lesionbench.errors import SplitError
from lesionbench.pipeline.split import Split, divide, group_status, splits


def dataset(groups, labels, is_test=None, **facts):
    count = len(groups)
    images = LabelledImages(
        np.zeros((count, 4, 4, 1), np.uint8),
        np.asarray(labels, np.int64),
        np.asarray(groups, np.int64),
        np.array([f"i{number}" for number in range(count)]),
        tuple("abcdefg"[: max(labels) + 1]),
    )
    return LoadedDataset(images, None if is_test is None else np.asarray(is_test, bool), **facts)


def parts_of(data, *indices):
    return [data.images.take(np.asarray(chosen)) for chosen in indices]


def test_a_split_that_shares_a_group_between_train_and_test_cannot_be_constructed():
    data = dataset([1, 2, 3, 1], [0, 1, 0, 1])

    with pytest.raises(SplitError, match="1 stand in both train and test"):
        Split(*parts_of(data, [0], [1, 2], [3]))


def test_a_split_that_shares_a_group_between_validation_and_test_cannot_be_constructed():
    data = dataset([1, 2, 3, 2], [0, 1, 0, 1])

    with pytest.raises(SplitError, match="both train and test"):
        Split(*parts_of(data, [0], [1], [2, 3]))


def test_a_group_shared_by_train_and_validation_cannot_be_declared_away():
    data = dataset([1, 1, 3, 4], [0, 1, 0, 1])

    with pytest.raises(SplitError, match="train and validation"):
        Split(*parts_of(data, [0], [1], [2, 3]), declared_shared=frozenset({1}))


def test_an_empty_part_is_refused():
    data = dataset([1, 2], [0, 1])

    with pytest.raises(SplitError, match="the test part"):
        Split(*parts_of(data, [0], [1], np.empty(0, np.int64)))


def test_the_published_split_of_a_leaking_dataset_is_kept_only_where_it_says_so():
    groups = [*range(20), *range(20, 30), 0]
    labels = [0, 1] * 15 + [0]
    is_test = [False] * 20 + [True] * 11
    honest = dataset(groups, labels, is_test)
    declared = dataset(groups, labels, is_test, keep_shared_groups=True)

    with pytest.raises(SplitError, match="train and test"):
        splits(honest, divide(honest, "official", 0.2, 0))
    split = splits(declared, divide(declared, "official", 0.2, 0))[0]

    assert len(split.test) == 11
    assert group_status(declared, "official") == "shared"


def test_folds_of_a_leaking_dataset_keep_groups_apart():
    groups = [*range(20), *range(20, 30), 0]
    data = dataset(groups, [0, 1] * 15 + [0], [False] * 20 + [True] * 11, keep_shared_groups=True)

    made = splits(data, divide(data, 3, 0.25, 0))

    assert all(not set(split.train.groups) & set(split.test.groups) for split in made)
    assert group_status(data, 3) == "apart"


def test_unknown_groups_are_called_waived():
    data = dataset(range(20), [0, 1] * 10, groups_known=False)

    assert group_status(data, 5) == "waived"


def test_a_dataset_without_a_division_has_no_official_split():
    data = dataset(range(20), [0, 1] * 10)

    with pytest.raises(SplitError, match="split=5"):
        divide(data, "official", 0.2, 0)


def test_too_few_groups_of_a_class_are_named():
    data = dataset([0, 1, 2, 3, 4, 4, 4], [0, 0, 0, 0, 1, 1, 1])

    with pytest.raises(SplitError, match="'b' has 1"):
        divide(data, 3, 0.2, 0)


def test_too_few_groups_for_validation_ask_for_a_larger_share():
    data = dataset(range(8), [0, 1] * 4, [True] * 2 + [False] * 6)

    with pytest.raises(SplitError, match="choose a larger validation"):
        divide(data, "official", 0.2, 0)


@pytest.mark.parametrize(("share", "held"), [(0.5, 50), (0.4, 33), (0.3, 33), (0.2, 20), (0.05, 5)])
def test_the_validation_share_is_the_nearest_one_part_in_k(share, held):
    data = dataset(range(200), [0, 1] * 100, [number >= 100 for number in range(200)])

    part = divide(data, "official", share, 0)[0]

    assert abs((part == "validation").sum() - held) <= 1


def test_a_published_test_part_that_lacks_a_class_is_refused():
    data = dataset(range(20), [0, 1] * 10, [number % 2 == 0 and number > 10 for number in range(20)])

    with pytest.raises(SplitError, match="no image of class 'b'"):
        divide(data, "official", 0.2, 0)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(2, 3), st.integers(1, 3))
def test_every_image_is_tested_once_and_no_group_is_on_two_sides(seed, folds, classes, per_group):
    random = np.random.default_rng(seed)
    label_of_group = np.repeat(np.arange(classes), 40)
    groups = random.permutation(np.repeat(np.arange(len(label_of_group)), per_group))
    data = dataset(groups, label_of_group[groups])

    parts = divide(data, folds, 0.2, seed)
    made = splits(data, parts)

    assert np.all(np.sum([part == "test" for part in parts], axis=0) == 1)
    for split in made:
        sides = [set(part.groups.tolist()) for part in (split.train, split.validation, split.test)]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_the_same_seed_gives_the_same_folds_and_another_seed_others():
    data = dataset(range(60), [0, 1] * 30)

    one, same, other = (np.stack(divide(data, 3, 0.2, seed)) for seed in (1, 1, 2))

    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
