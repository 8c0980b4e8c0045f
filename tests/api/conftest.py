"""One small run, shared by the tests of its tables, pictures and arrays."""

import pytest
from made_images import small_images

import lesionbench


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> "lesionbench.Run":
    """A finished run with two folds, two seeds, two doses and a holdout, so that every table has rows."""
    return lesionbench.run(
        small_images(),
        augmenters=["oversample", "noise", "real-holdout"],
        synthetic=[4, 8],
        classifiers=["linear"],
        split=2,
        seeds=2,
        out=tmp_path_factory.mktemp("runs") / "small",
        jobs=1,
        quiet=True,
    )
