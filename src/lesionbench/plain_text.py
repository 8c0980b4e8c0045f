"""Text that came from elsewhere, made harmless for a screen, a page or a spreadsheet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Control characters can move the cursor or recolor a terminal, line separators end a row of a table, overrides of the
# writing direction show a name as another one, and a lone surrogate cannot be written as UTF-8.
_HIDDEN = r"\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
NOT_PLAIN = re.compile(rf"[\x00-\x1f{_HIDDEN}]")
NOT_SHOWN = re.compile(rf"[\x00-\x08\x0b-\x1f{_HIDDEN}]")  # tabs and ends of lines may stand in a message
FORMULA = re.compile(r"'*[=+\-@\t\r]")  # a spreadsheet would calculate what follows
MASKED = re.compile(r"'+[=+\-@\t\r]")
LONGEST_NAME = 255  # characters; no file system takes longer names
LONGEST_ID = 4096  # the longest path of a file


def visible(text: str) -> str:
    """The text with control characters, lone surrogates and the like written out: an escape is a backslash and x1b."""
    return text if text.isprintable() else NOT_SHOWN.sub(_written_out, text)  # faster for tables of 10,000 rows


def is_plain(text: str) -> bool:
    """Whether the text can stand in a table, in a path and on the screen as it is."""
    return NOT_PLAIN.search(text) is None


def name_problem(name: object, longest: int = LONGEST_NAME) -> str:
    """What is wrong with the name of a class or an image; empty when nothing is."""
    if not isinstance(name, str):
        return f"it must be text, not {name!r:.80}"
    if not name.strip():
        return f"it must not be empty, and {name!r} is"
    if len(name) > longest:
        return f"it may have {longest:,} characters, and {name!r:.40}... has {len(name):,}"
    if not is_plain(name):
        return f"it must be plain text in UTF-8, without control characters, and {name!a:.200} is not"
    return ""


def first_problem(names: Iterable[object], longest: int = LONGEST_NAME) -> str:
    """The first `name_problem` of many names; empty when nothing is wrong with any."""
    return next(filter(None, (name_problem(name, longest) for name in names)), "")


def for_spreadsheet(text: str) -> str:
    """The text as a field of a CSV file: a spreadsheet takes it for text, and `from_spreadsheet` gives it back.

    Text that begins with =, +, -, @, a tab or a carriage return would be a formula; it gets an apostrophe in front.
    So does text that looks as if it had one already.
    """
    return f"'{text}" if FORMULA.match(text) else text


def from_spreadsheet(field: str) -> str:
    """The text of which `for_spreadsheet` made this field."""
    return field[1:] if MASKED.match(field) else field


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
