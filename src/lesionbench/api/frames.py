"""The tables of a run as pandas DataFrames: what is text, a whole number, yes or no, or a number in each column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from lesionbench.errors import OutputError
from lesionbench.given_files import open_regular, reason
from lesionbench.plain_text import from_spreadsheet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A column of one name holds the same in every table. All others are numbers.
TEXT = {
    *("dataset", "split", "groups", "augmenter", "on_the_fly", "classifier", "positive_class", "baseline", "class"),
    *("verdict", "tie_group", "reason", "judged_by", "family", "metric", "method", "component", "advice", "held"),
    *("doses", "chosen_per_fold", "slope_form", "paper", "table", "system", "printed", "status", "grim", "note"),
    *("cell", "error", "predictions_sha256", "part", "id", "label", "true_class"),
    *("augmenter_machine", "classifier_machine", "computed_in"),
    *("pool", "extractor", "reference", "threshold_from"),
    *("part_a", "id_a", "group_a", "label_a", "part_b", "id_b", "group_b", "label_b", "kind"),
}
WHOLE = {
    *("synthetic_per_class", "seeds", "n_test", "n_groups", "n_validation", "n", "failed_cells", "levels", "repeats"),
    *("fold", "seed", "classifier_repeat", "augmenter_seed", "classifier_seed", "augmenter_steps", "classifier_steps"),
    *("group", "real_per_class", "same_gain_dose", "largest_dose", "best_on_test_dose", "chosen_dose"),
    *("smallest_not_inferior_dose", "test_groups_needed", "ece_bins"),
}
YES_OR_NO = {"not_inferior", "augmenter_from_store", "classifier_from_store"}
COUNTS = "predicted_"  # the columns of a confusion matrix


def read_frame(path: Path) -> pd.DataFrame:
    """One table of a run; an empty field is NA. Raises OutputError when it cannot be read."""
    try:
        with open_regular(path) as file:
            frame = pd.read_csv(file, dtype="string", keep_default_na=False, na_values=[""])
        return typed(frame)
    except FileNotFoundError:
        raise OutputError(f"there is no {path.name} in {path.parent} yet; run the experiment to its end") from None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read ({reason(error)}); run the experiment again to restore it") from None


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of text with every column in its dtype: string, Int64, boolean or float64."""
    made = frame.copy()
    for name in frame.columns:
        if name in YES_OR_NO:
            made[name] = frame[name].map({"yes": True, "no": False}).astype("boolean")
        elif name not in TEXT:
            whole = name in WHOLE or name.startswith(COUNTS)
            made[name] = frame[name].astype("Int64" if whole else "float64")
        else:
            made[name] = frame[name].map(from_spreadsheet, na_action="ignore").astype("string")
    return made


def empty_frame(columns: Iterable[str]) -> pd.DataFrame:
    """A table without rows, with every column in its dtype."""
    return typed(pd.DataFrame({name: pd.Series(dtype="string") for name in columns}))
