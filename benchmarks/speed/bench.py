"""Measure how fast lesionbench is, beside what a researcher would write instead: `make bench`, or one row by name.

python benchmarks/speed/bench.py                    all rows, into results.json and the pages: 35 minutes
python benchmarks/speed/bench.py kth-cnn resnet18   these rows, on the screen alone
python benchmarks/speed/bench.py --list             the names of the rows
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from importlib import import_module

import page
from pairs import Options, Row, measured

MODULES = ["training", "whole_run", "classic_rows", "finished_rows", "start_rows", "evidence_rows", "audit_rows"]
MODULES += ["dask_rows"]
LEAST_PAIRS = 5  # for results that are kept
BUSY = 1.0  # processes that compute already


def rows() -> list[Row]:
    """Every row, in the order of the table."""
    return [row for module in MODULES for row in import_module(module).ROWS]


def main() -> int:
    """Measure, print, and keep the results of a whole run; returns the exit status."""
    arguments = _arguments()
    known = {row.name: row for row in rows()}
    if arguments.list:
        print(*(f"{name:20}{row.title}" for name, row in known.items()), sep="\n")
        return 0
    unknown = [name for name in arguments.rows if name not in known]
    if unknown:
        print(f"there is no row {', '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    options = Options(arguments.pairs, arguments.precision or page.precision_here(), arguments.quick)
    chosen = [known[name] for name in arguments.rows or known]
    about = page.about_this_run(options)
    if about["load"] > BUSY:
        print(f"this machine is busy (load {about['load']}): wall times mean little", file=sys.stderr)
    results, failed = _measure_all(chosen, options)
    if arguments.rows or arguments.quick or arguments.pairs < LEAST_PAIRS:
        print(f"nothing is kept: that takes all rows and at least {LEAST_PAIRS} pairs", file=sys.stderr)
    else:
        page.keep(about, results)
    if failed:
        print(f"failed, and not in the table: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these rows")
    parser.add_argument("--list", action="store_true", help="the names of the rows")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side (5)")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="of ours; by default what `auto` is here")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that everything works")
    return parser.parse_args()


def _measure_all(chosen: list[Row], options: Options) -> tuple[dict[str, dict], list[str]]:
    """The results by row, and the names of the rows that failed."""
    results, failed = {}, []
    for row in chosen:
        began = time.monotonic()
        try:
            results[row.name] = measured(row, options)
        except Exception:
            traceback.print_exc()
            failed.append(row.name)
            continue
        took = f"({time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f})"
        print(page.line(row.name, results[row.name]), took, flush=True)
    return results, failed


if __name__ == "__main__":
    sys.exit(main())
