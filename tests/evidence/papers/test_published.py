import pytest

from lesionbench.errors import SettingsError
from lesionbench.evidence.papers.published import PUBLISHED_COLUMNS, published_beside, read_published
from lesionbench.pipeline.arm import Arm

HEADER = ",".join(PUBLISHED_COLUMNS)
GOOD = {"paper": "frid-adar-2018", "table": "Table I", "system": "CNN-AUG", "augmenter": "classic"} | {
    "synthetic_per_class": "480",
    "on_the_fly": "",
    "classifier": "kth-cnn",
    "metric": "accuracy",
    "published": "78.6%",
    "n": "182",
}


def line(**changes):
    record = GOOD | {key.removesuffix("_"): value for key, value in changes.items()}
    return ",".join(record.get(column, "") for column in PUBLISHED_COLUMNS)


def written(tmp_path, *lines):
    path = tmp_path / "published.csv"
    path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return path


def refusal(path):
    with pytest.raises(SettingsError) as caught:
        read_published(path)
    return str(caught.value)


def test_a_row_is_read_with_its_arm_and_its_decimals(tmp_path):
    (value,) = read_published(written(tmp_path, line(note='"rounded, they say"')))

    assert Arm("classic", 480, "none", "kth-cnn") == value.arm
    assert ("frid-adar-2018", "Table I", "CNN-AUG") == (value.paper, value.table, value.system)
    assert ("accuracy", "78.6%", 3, 182) == (value.metric, value.printed.text, value.printed.decimals, value.n)
    assert value.note == "rounded, they say"


def test_a_row_without_an_arm_is_read(tmp_path):
    (value,) = read_published(written(tmp_path, line(augmenter="", synthetic_per_class="", classifier="", n="")))

    assert value.arm is None
    assert value.n is None


def test_columns_may_stand_in_any_order_and_after_a_byte_order_mark(tmp_path):
    path = tmp_path / "published.csv"
    columns = sorted(PUBLISHED_COLUMNS)
    row = ",".join(GOOD.get(column, "") for column in columns)
    path.write_bytes(b"\xef\xbb\xbf" + f"{','.join(columns)}\r\n{row}\r\n\r\n".encode())

    assert [value.metric for value in read_published(path)] == ["accuracy"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"paper": ""}, "a paper is named in every row"),
        ({"metric": "sensitvity"}, "not 'sensitvity'"),
        ({"metric": "accuracy", "class_": "cyst"}, "a metric of one class is one of sensitivity, specificity, auc, f1"),
        ({"published": "78.6"}, "such as 78.6%, not '78.6'"),
        ({"published": "-"}, "as printed, such as .80, 0.786 or 78.6%, not '-'"),
        ({"n": "0"}, "n is the number of images"),
        ({"n": "1.5"}, "not '1.5'"),
        ({"synthetic_per_class": ""}, "synthetic_per_class is the arm's dose, a whole number, not ''"),
        ({"synthetic_per_class": "-1"}, "not '-1'"),
        ({"synthetic_per_class": "0"}, "not 0 for 'classic'"),
        ({"augmenter": "none"}, "not 480 for 'none'"),
        ({"classifier": ""}, "but augmenter is 'classic' and classifier ''"),
        ({"augmenter": ""}, "but augmenter is '' and classifier 'kth-cnn'"),
    ],
)
def test_a_wrong_row_is_refused_with_file_line_rule_and_value(tmp_path, changes, words):
    path = written(tmp_path, line(), line(**{"metric": "sensitivity"} | changes))

    message = refusal(path)

    assert message.startswith(f"{path}, line 3: ")
    assert words in message


def test_a_value_given_twice_is_refused_with_both_lines(tmp_path):
    message = refusal(written(tmp_path, line(), line(metric="sensitivity"), line(published="79.1%")))

    assert "line 4: a value is given once, but line 2 gives the same one" in message


def test_a_row_with_a_bare_comma_in_its_note_is_refused(tmp_path):
    assert "line 2: a row has 13 fields, not 14" in refusal(written(tmp_path, line(note="rounded, they say")))


def test_an_open_quote_is_refused(tmp_path):
    assert "a row of a CSV file is needed" in refusal(written(tmp_path, line(note='"open')))


@pytest.mark.parametrize("text", ["", "paper,metric\nx,accuracy\n", HEADER.replace("note", "notes") + "\n"])
def test_other_columns_are_refused(tmp_path, text):
    path = tmp_path / "published.csv"
    path.write_text(text)

    assert f"line 1: the columns are {HEADER}, not " in refusal(path)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    assert "there is no file" in refusal(tmp_path / "published.csv")

    (tmp_path / "published.csv").write_bytes(b"\xff\xfe\x00")
    assert "must be a CSV file in UTF-8" in refusal(tmp_path / "published.csv")
    assert "must be a CSV file in UTF-8" in refusal(tmp_path)


def test_the_published_values_of_an_experiment_file_stand_beside_it(tmp_path):
    assert published_beside(tmp_path / "experiment.toml") is None

    shared, own = tmp_path / "published.csv", tmp_path / "published-quick.csv"
    shared.touch()
    own.touch()

    assert shared == published_beside(tmp_path / "experiment.toml")
    assert own == published_beside(tmp_path / "quick.toml")
