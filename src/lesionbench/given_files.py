"""Reading files that somebody else made: nothing but regular files, of a size that can be read, with names in UTF-8."""

from __future__ import annotations

import errno
import stat
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BufferedReader:
    """A file, opened for reading; raises OSError for anything else, which could block for ever or have no end."""
    wrong = kind_of(path.stat().st_mode)
    if wrong:
        raise OSError(errno.EINVAL, f"it is {wrong}, not a file", str(path))
    return path.open("rb")


def read_regular(path: Path) -> bytes:
    """The bytes of a file; raises OSError like `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def open_text(path: Path) -> TextIO:
    """A file in UTF-8, opened for reading with its ends of lines as they are; raises OSError like `open_regular`."""
    return TextIOWrapper(open_regular(path), encoding="utf-8", newline="")


def kind_of(mode: int) -> str:
    """What a path leads to when it is no regular file, in words; empty for a file."""
    return "" if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "something else")


def read_whole(path: Path, most: int) -> bytes:
    """The bytes of a file; raises OSError when it is no file or has more than `most` bytes."""
    with open_regular(path) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most // 2**20} MB", str(path))
    return found


def reason(error: Exception) -> str:
    """Why a file cannot be used, without its path and the number of the error."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def file_problem(path: Path) -> str:
    """Why a path does not lead to a file; empty when it does."""
    try:
        kind = kind_of(path.stat().st_mode)
    except FileNotFoundError:
        return "it is a link to a file that is not there" if path.is_symlink() else "it is not there"
    except OSError as error:
        return f"it cannot be followed ({reason(error)})"
    return kind and f"it is {kind}"


def path_problem(path: Path) -> str:
    """What is wrong with a path as text; empty when nothing is. Settings are kept in UTF-8, with their paths."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return f"a path must be UTF-8, and {str(path)!a:.200} is not; rename it"
    return f"a path must not hold a zero byte, and {str(path)!a:.200} does" if "\0" in str(path) else ""
