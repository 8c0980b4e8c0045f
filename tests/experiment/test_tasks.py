import logging

from lesionbench.experiment.tasks import try_to_draw


def test_a_picture_that_cannot_be_drawn_is_logged_and_costs_nothing(caplog):
    def broken():
        raise OSError("no space left")

    with caplog.at_level(logging.WARNING, "lesionbench"):
        try_to_draw(broken)

    assert [record.getMessage() for record in caplog.records] == [
        "a picture could not be drawn (OSError: no space left)"
    ]


def test_a_picture_that_can_be_drawn_is_drawn():
    made = []

    try_to_draw(lambda: made.append("picture"))

    assert made == ["picture"]
