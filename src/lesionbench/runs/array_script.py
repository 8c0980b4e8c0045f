"""The sbatch script of a job array: a file of the user's, written once and edited freely."""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPT = "array.sbatch"
SLURM_LOGS = Path("logs", "slurm")  # SLURM makes no folders


@dataclass(frozen=True)
class ArrayNeeds:
    """What every job of an array asks for; None where nobody has said and nothing was measured."""

    cores: int
    gpus: int
    memory_gb: float | None
    minutes: int | None
    at_once: int | None = None  # jobs at the same time; None: as many as the cluster allows


def array_script(out: Path, tasks: int, fits: int, needs: ArrayNeeds) -> str:
    """The script for an array of `tasks` jobs, the first `fits` of which make the pools that the others need."""
    root = out.absolute()
    limit = f"%{needs.at_once}" if needs.at_once else ""
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={_word(root.name)}",
        f"#SBATCH --array=0-{tasks - 1}{limit}",
        f'#SBATCH --output="{_escaped(root / SLURM_LOGS)}/%A_%a.txt"',
        f"#SBATCH --cpus-per-task={needs.cores}",
        _line("mem", None if needs.memory_gb is None else f"{math.ceil(needs.memory_gb * 1000)}M", "4G"),
        _line("time", None if needs.minutes is None else _clock(needs.minutes), "04:00:00"),
        *([f"#SBATCH --gres=gpu:{needs.gpus}"] if needs.gpus else []),
        "#SBATCH --requeue",
        "",
        "# This file is yours: add a partition or an account, change what it asks for.",
        f"# Submit it with: sbatch {shlex.quote(str(root / SCRIPT))}",
        "# Any job may run again, in any order, and many at once; an index beyond the list ends with status 0.",
        *_in_two_steps(root / SCRIPT, tasks, fits),
        "# Where an array may have fewer jobs, submit parts of it: sbatch --export=ALL,OFFSET=1000 --array=0-999 ...",
        "",
        f"exec {shlex.quote(sys.executable)} -m lesionbench work {shlex.quote(str(root))} "
        "--index $((SLURM_ARRAY_TASK_ID + ${OFFSET:-0}))",
        "",
    ]
    return "\n".join(lines)


def _line(option: str, value: str | None, example: str) -> str:
    """An option of sbatch; one whose value is not known is left to the user."""
    if value is None:
        return f"##SBATCH --{option}={example}  # never measured here: remove one # to ask for it"
    return f"#SBATCH --{option}={value}"


def _in_two_steps(script: Path, tasks: int, fits: int) -> list[str]:
    if not 0 < fits < tasks:
        return []
    typed = shlex.quote(str(script))
    return [
        f"# The first {fits} jobs make the synthetic images that the others learn from. So that no job waits for them:",
        f"#   first=$(sbatch --parsable --array=0-{fits - 1} {typed})",
        f"#   sbatch --dependency=afterany:$first --array={fits}-{tasks - 1} {typed}",
    ]


def _word(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name) or "lesionbench"


def _escaped(folder: Path) -> str:
    """A folder inside quotes of an sbatch option, where % begins a placeholder."""
    return str(folder).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}:00"
