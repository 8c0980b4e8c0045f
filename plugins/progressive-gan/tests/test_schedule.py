from __future__ import annotations

import pytest

from lesionbench_progressive_gan import ProgressiveGan
from lesionbench_progressive_gan.schedule import Moment, Schedule, level_of, resolution

# 16 pixels: level 0 for 60 images, level 1 fading for 100 and stable for 60, level 2 fading for 100 and stable for 200.
SMALL = {
    "size": 16,
    "stable_images": 60,
    "fade_images": 100,
    "final_images": 200,
    "scale": 1,
    "batch_size": 20,
    "steps": 0,
}


def schedule(**settings):
    return Schedule.of(ProgressiveGan(**(SMALL | settings)))


@pytest.mark.parametrize(("level", "size"), [*enumerate((4, 8, 16, 32, 64, 128, 256))])
def test_every_level_doubles_the_size(level, size):
    assert (level, size) == (level_of(size), resolution(level))


@pytest.mark.parametrize(
    ("shown", "moment"),
    [
        (0, (0, 1)),
        (59, (0, 1)),
        (60, (1, 0)),
        (61, (1, 0.01)),
        (110, (1, 0.5)),
        (159, (1, 0.99)),
        (160, (1, 1)),
        (219, (1, 1)),
        (220, (2, 0)),
        (270, (2, 0.5)),
        (320, (2, 1)),
        (519, (2, 1)),
        (520, (2, 1)),
        (10_000, (2, 1)),
    ],
)
def test_level_and_fade_follow_from_the_images_shown(shown, moment):
    assert moment == pytest.approx(schedule().at(shown))


def test_a_step_is_taken_at_the_images_shown_before_it():
    growth = schedule()
    assert 26 == growth.steps  # 520 images
    assert [Moment(0, 1)] * 3 == [growth.of_step(step) for step in (1, 2, 3)]
    assert (1, 0.0) == pytest.approx(growth.of_step(4))
    assert (1, 0.2) == pytest.approx(growth.of_step(5))
    assert (1, 1) == growth.of_step(9)
    assert (2, 0.0) == pytest.approx(growth.of_step(12))


def test_one_factor_scales_every_phase():
    assert [600, 1000, 600, 1000, 2000] == [phase.images for phase in schedule(scale=10).phases]
    assert 260 == schedule(scale=10).steps


def test_steps_take_the_place_of_the_factor():
    growth = schedule(scale=77, steps=13)
    assert 13 == growth.steps
    assert [30, 50, 30, 50, 100] == pytest.approx([phase.images for phase in growth.phases])


def test_the_papers_schedule_for_64_pixels_shows_5_million_and_400_thousand_images():
    paper = ProgressiveGan(size=64, scale=1, fade_images=600_000, stable_images=600_000, final_images=600_000)
    assert 5_400_000 == 16 * Schedule.of(paper).steps
    assert 5_400_000 == Schedule.of(paper).ends[-1]


def test_the_default_schedule_grows_to_32_pixels():
    growth = Schedule.of(ProgressiveGan())
    assert [0, 1, 1, 2, 2, 3, 3] == [phase.level for phase in growth.phases]
    assert (3, 1.0) == growth.of_step(growth.steps)


def test_pictures_are_drawn_at_the_end_of_every_phase_and_halfway_through_the_last():
    assert [3, 8, 11, 16, 21, 26] == schedule().picture_steps()
    assert [1] == schedule(steps=1).picture_steps()
