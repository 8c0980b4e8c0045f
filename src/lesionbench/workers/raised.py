"""An exception as text: whatever a plugin raises can be written down."""

from __future__ import annotations

import traceback

from lesionbench.errors import LesionbenchError

LONGEST_LINE, LONGEST_TRACEBACK = 500, 100_000  # characters; an error may carry a whole array as text


def in_one_line(error: BaseException) -> str:
    """The kind and the message of an exception in one line; of our own exceptions the message alone."""
    try:
        message = str(error)
    except BaseException as other:  # whatever its `__str__` raises
        message = f"and its text cannot be had, because of {type(other).__name__}"
    ours = isinstance(error, LesionbenchError)
    message = message[: 20 * LONGEST_LINE]
    line = " ".join((message if ours else f"{type(error).__name__}: {message}").split()).removesuffix(":")
    return without_surrogates(line)[:LONGEST_LINE]


def full_traceback(error: BaseException) -> str:
    """The traceback as text; the one line where it cannot be written."""
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException:  # an exception whose parts raise others
        return in_one_line(error)
    if len(text) > LONGEST_TRACEBACK:
        text = f"{text[: LONGEST_TRACEBACK // 2]}\n[...]\n{text[-LONGEST_TRACEBACK // 2 :]}"
    return without_surrogates(text)


def without_surrogates(text: str) -> str:
    """The text with lone surrogates, which no file can hold, written as backslash and number."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
