"""A list of jobs in words: how many there are, what they ask for, and what to type next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lesionbench.report.words import count

if TYPE_CHECKING:
    from lesionbench.runs.jobs import Written


def jobs_lines(written: Written) -> list[str]:
    """What `jobs` wrote, and what to type next."""
    out, total = shlex.quote(str(written.out)), written.fits + written.cells
    lines = [
        f"{count(total, 'job')}: {written.fits} of augmenters and {count(written.cells, 'cell')}; "
        f"{written.done} done already",
        f"{written.out}/jobs.csv lists them",
    ]
    if written.script is not None:
        lines += [f"{written.script} asks for {_asked(written)} a job; edit it as you like"]
        if written.edited:
            lines += ["the script that was there has been edited, so it was left as it is; compare the two"]
        lines += [f"next:  sbatch {shlex.quote(str(written.script))}"]
    else:
        lines += [f"next, on every machine that sees this folder:  lesionbench work {out}"]
    return [*lines, f"then:  lesionbench leaderboard {out}"]


def _asked(written: Written) -> str:
    needs = written.needs
    parts = [count(needs.cores, "core")]
    parts += [] if needs.memory_gb is None else [f"{needs.memory_gb:g} GB"]
    parts += [] if needs.minutes is None else [f"{needs.minutes} minutes"]
    parts += [count(needs.gpus, "GPU")] if needs.gpus else []
    return ", ".join(parts)
