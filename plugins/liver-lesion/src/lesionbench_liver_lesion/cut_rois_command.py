"""`lesionbench data cut-rois`: square ROIs around lesions, cut from CT scans."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lesionbench_liver_lesion.cut_rois.cut import Summary


def cut_rois(
    scans: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[SCAN]...", help="CT: a NIfTI file, a folder with one DICOM series, or a DICOM slice."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; must be new or empty.")],
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The lesions: NIfTI, NRRD, DICOM SEG, or one PNG per slice.")
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="series, slice, x, y, diameter_mm or diameter_px, label (and patient)."),
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(metavar="CSV", help="scan, mask (and label, patient, series), one row per scan.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="CLASS", help="The class of all lesions in a mask.")] = None,
    mask_label: Annotated[
        list[str] | None, typer.Option(metavar="VALUE=CLASS", help="The class of a mask value; repeat for more.")
    ] = None,
    classes: Annotated[str, typer.Option(metavar="A,B,...", help="All class names.")] = "cyst,metastasis,hemangioma",
    margin: Annotated[float, typer.Option(help="Tissue on each side, as a fraction of the diameter.")] = 0.25,
    size: Annotated[int, typer.Option(help="Height and width of the images, in pixels.")] = 64,
    window_level: Annotated[float, typer.Option(help="HU in the middle of the grey range.")] = 60.0,
    window_width: Annotated[float, typer.Option(help="HU from black to white.")] = 400.0,
    min_diameter: Annotated[float, typer.Option(metavar="MM", help="Smaller lesions are ignored.")] = 0.0,
    every_slice: Annotated[
        bool, typer.Option("--every-slice", help="Cut every cross-section in a mask, not only each lesion's largest.")
    ] = False,
    patient: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose scan it is; only its hash is written.")
    ] = None,
    series: Annotated[str | None, typer.Option(metavar="UID", help="The DICOM series, if there are several.")] = None,
    salt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", envvar="LESIONBENCH_SALT", help="Makes hashes reproducible. [default: random]"),
    ] = None,
) -> None:
    """Cut square ROIs around lesions from CT, window and resize them, and write class folders without names."""
    from lesionbench_liver_lesion.cut_rois.case import Request
    from lesionbench_liver_lesion.cut_rois.cut import cut_all
    from lesionbench_liver_lesion.cut_rois.settings import CutSettings, parse_classes, parse_mask_labels

    request = Request(tuple(scans or ()), mask, annotations, cases, series, patient)
    settings = CutSettings(
        classes=parse_classes(classes),
        label=label,
        mask_labels=parse_mask_labels(mask_label or []),
        margin=margin,
        window_level=window_level,
        window_width=window_width,
        size=size,
        min_diameter=min_diameter,
        every_slice=every_slice,
    )
    _say(cut_all(request, settings, salt, out), out)


def _say(summary: Summary, out: Path) -> None:
    """Print what was cut and what to type next."""
    for note in summary.notes:
        typer.echo(f"note: {note}")
    counts = ", ".join(f"{name} {count}" for name, count in summary.classes.items())
    rois = sum(summary.classes.values())
    who = "1 patient" if summary.patients == 1 else f"{summary.patients} patients"
    typer.echo(f"{rois} ROI{'' if rois == 1 else 's'} ({counts}) of {who} in {out}")
    typer.echo(f"next: lesionbench data check liver-lesion --data {out}")
