"""What the rest of lesionbench may rely on when it loads a dataset."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from lesionbench.builtin.folder import Folder
from lesionbench.errors import DatasetError, SettingsError
from lesionbench.pipeline.dataset import Dataset, find_problems, load_dataset


class Failing(Dataset):
    """Fails to load with the error of the test, and to list its problems too where that is asked for."""

    name: ClassVar[str] = "failing"
    error: ClassVar[Exception]
    size: int = Field(32, le=100)

    def load(self, root):
        raise self.error


class FailingTwice(Failing):
    def problems(self, root):
        raise self.error


def failing(error, base=Failing):
    return type("Failing", (base,), {"error": error})()


def test_an_unexpected_exception_of_a_loader_is_one_message():
    with pytest.raises(DatasetError, match=r"'failing' cannot be loaded \(KeyError: 'label'\); see: lesionbench check"):
        load_dataset(failing(KeyError("label")), None)


@pytest.mark.parametrize("error", [DatasetError("no images"), SettingsError("no such file")])
def test_an_error_about_the_input_is_raised_as_it_is(error):
    with pytest.raises(type(error), match=str(error)):
        load_dataset(failing(error), None)


@pytest.mark.parametrize("base", [Failing, FailingTwice])
def test_any_exception_of_a_loader_is_listed_as_a_problem(base):
    assert find_problems(failing(DatasetError("one\ntwo"), base), None) == ["one", "two"]
    (line,) = find_problems(failing(ZeroDivisionError("division by zero"), base), Path())
    assert "ZeroDivisionError: division by zero" in line


def test_a_dataset_is_enlarged_as_far_as_its_size_allows():
    assert Folder(size=64).enlarged(256) == Folder(size=256)
    assert Folder(size=512).enlarged(256) == Folder(size=512)
    assert failing(KeyError()).enlarged(256).size == 32
