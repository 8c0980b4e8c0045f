from dataclasses import replace

import pytest
from made_arms import arm_key

from lesionbench.pipeline.arm import ARM_COLUMNS, ArmKey


@pytest.mark.parametrize(
    ("augmenter", "dose", "on_the_fly", "name"),
    [
        ("none", 0, "none", "none"),
        ("dcgan", 480, "none", "dcgan@480"),
        ("classic@480+dcgan", 120, "classic", "classic@480+dcgan@120 on-the-fly classic"),
        ("none", 0, "classic", "none on-the-fly classic"),
    ],
)
def test_an_arm_is_named_by_its_augmenter_its_dose_and_what_changes_the_batches(augmenter, dose, on_the_fly, name):
    assert replace(arm_key(augmenter, dose), on_the_fly=on_the_fly).name == name


def test_an_arm_is_read_back_from_its_row_and_from_the_text_of_a_csv_file():
    arm = arm_key("dcgan[steps=5]", 480)

    assert tuple(arm.row()) == ARM_COLUMNS
    assert ArmKey.of(arm.row() | {"auc": 0.5}) == arm
    assert ArmKey.of({column: str(value) for column, value in arm.row().items()}) == arm
