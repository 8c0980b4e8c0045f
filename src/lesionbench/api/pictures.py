"""Pictures of a run, shown in a notebook and named elsewhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from lesionbench.plain_text import visible

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Pictures:
    """PNG files of a run. A notebook displays them; elsewhere they are listed by their paths."""

    paths: tuple[Path, ...]

    def __repr__(self) -> str:
        return "\n".join(map(str, self.paths)) or "<no pictures yet>"

    def _repr_html_(self) -> str:
        return "\n".join(map(_figure, self.paths)) or "<p>no pictures yet</p>"


def _figure(path: Path) -> str:
    pixels = base64.b64encode(path.read_bytes()).decode("ascii")
    name = escape(visible(path.name))
    return (
        f'<figure><img alt="{name}" src="data:image/png;base64,{pixels}" style="max-width:100%">'
        f"<figcaption>{name}</figcaption></figure>"
    )
