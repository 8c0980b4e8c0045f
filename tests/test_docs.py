"""Every command, option, setting, error, hook and column is in the docs, or this fails."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from test_layers import MAY_KNOW

import lesionbench
from lesionbench import errors, hookspecs
from lesionbench.evidence.evidence import TABLE_COLUMNS as EVIDENCE
from lesionbench.evidence.images.fidelity import FIDELITY_COLUMNS
from lesionbench.evidence.images.leakage import PAIRS_COLUMNS, TWINS_COLUMNS
from lesionbench.evidence.images.memorisation import MEMORISATION_COLUMNS
from lesionbench.evidence.images.without_copies import WITHOUT_COPIES_COLUMNS
from lesionbench.evidence.images.without_twins import WITHOUT_TWINS_COLUMNS
from lesionbench.evidence.papers.beside_published import BESIDE_PUBLISHED_COLUMNS
from lesionbench.evidence.papers.published import PUBLISHED_COLUMNS
from lesionbench.experiment.settings import Experiment, make_experiment
from lesionbench.experiment.tables import CELL_COLUMNS, SPLIT_COLUMNS
from lesionbench.pipeline.leaderboard import COLUMNS, PER_CLASS_COLUMNS
from lesionbench.pipeline.plugin import Plugin
from lesionbench.plugins import KINDS, Plugins
from lesionbench.runs.jobs import JOB_COLUMNS

ROOT = Path(__file__).parent.parent
REFERENCE = "".join(page.read_text() for page in sorted((ROOT / "docs").glob("reference*.md")))
GUIDE = (ROOT / "docs" / "writing-a-plugin.md").read_text()
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text()
    for pattern in ("*.md", "docs/*.md", "benchmarks/**/*.md", "plugins/*/*.md")
    for page in sorted(ROOT.glob(pattern))
}
CODE_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)

TABLES = (COLUMNS, PER_CLASS_COLUMNS, CELL_COLUMNS, BESIDE_PUBLISHED_COLUMNS, PUBLISHED_COLUMNS, *EVIDENCE.values())
TABLES += (PAIRS_COLUMNS, TWINS_COLUMNS, WITHOUT_TWINS_COLUMNS)
TABLES += (JOB_COLUMNS, MEMORISATION_COLUMNS, WITHOUT_COPIES_COLUMNS, FIDELITY_COLUMNS)


@pytest.mark.parametrize("column", sorted({column for columns in TABLES for column in columns}))
def test_every_column_is_documented(column):
    assert f"`{column}`" in REFERENCE


def test_the_columns_of_the_splits_are_words_of_the_reference():
    assert all(column in REFERENCE for column in SPLIT_COLUMNS)


@pytest.mark.parametrize("setting", Experiment.model_fields)
def test_every_setting_of_an_experiment_is_documented(setting):
    assert f"| `{setting}` |" in REFERENCE


COMMANDS = ["run", "plan", "plugins", "check", "leaderboard", "explain", "reproduce", "merge", "jobs", "work"]
COMMANDS += ["cancel"]
COMMANDS += ["data list", "data check", "data cut-rois", "audit split", "audit samples", "audit fidelity"]
COMMANDS += ["store list", "store verify", "store prune", "store export", "store import"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command):
    assert f"`lesionbench {command}" in REFERENCE


def test_no_command_is_missing_from_the_list_above():
    from lesionbench.cli.main import app

    names = {command.callback.__name__ for command in app.registered_commands if command.callback}

    assert names == {command for command in COMMANDS if " " not in command}
    assert {group.name for group in app.registered_groups} == {"data", "audit", "store"}


OPTIONS_OF = ["run", "plan", "leaderboard", "jobs", "work", "audit.split", "audit.samples", "audit.fidelity"]
OPTIONS_OF += ["reproduce", "store.verify", "store.prune"]


@pytest.mark.parametrize("command", OPTIONS_OF)
def test_every_option_is_documented(command):
    import importlib
    import inspect

    module, _, function = command.partition(".")
    function = getattr(importlib.import_module(f"lesionbench.cli.{module}"), function or module)
    for name in inspect.signature(function).parameters:
        if name not in ("file", "folder", "dataset", "run"):
            assert f"`--{name.replace('_', '-')}" in REFERENCE, name


@pytest.mark.parametrize("kind", KINDS)
def test_every_hook_is_documented_with_its_signature(kind):
    hook = getattr(hookspecs, f"register_{kind}s")

    assert f"`{hook.__name__}() -> {hook.__annotations__['return']}`" in REFERENCE


def test_the_hook_for_data_commands_is_documented():
    assert "`register_data_commands() -> list[Callable]`" in REFERENCE


def test_every_data_command_is_documented():
    for name in Plugins.load().data_commands():
        assert f"`lesionbench data {name}" in REFERENCE


def test_every_error_that_is_raised_is_documented():
    families = {"LesionbenchError", "InputError"}
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception) and name not in families:
            assert f"`{name}`" in REFERENCE


def test_every_setting_of_every_plugin_has_a_description():
    for found in Plugins.load().found.values():
        for name, field in found.cls.model_fields.items():
            assert field.description, f"{found.name}.{name}"


def test_every_setting_of_a_plugin_package_is_in_its_readme():
    for found in Plugins.load().found.values():
        folder = ROOT / "plugins" / found.package.removeprefix("lesionbench-")
        if folder.is_dir():
            readme = (folder / "README.md").read_text()
            for name in (found.name, *found.cls.model_fields):
                assert f"`{name}`" in readme, f"{found.package}: {name}"


def test_every_installed_plugin_is_named_in_the_readme():
    for found in Plugins.load().found.values():
        if found.package.startswith("lesionbench") and (
            found.package == "lesionbench" or (ROOT / "plugins" / found.package.removeprefix("lesionbench-")).is_dir()
        ):
            assert f"`{found.name}`" in README


def test_the_experiment_file_of_the_reference_is_valid():
    block = REFERENCE.partition("```toml\n")[2].partition("```")[0]

    experiment = make_experiment(tomllib.loads(block), Plugins.load())

    assert experiment.augmenters == ("classic", "dcgan[steps=2000]")
    assert experiment.seeds == 5


def test_the_guides_package_file_is_valid():
    block = GUIDE.partition("```toml\n")[2].partition("```")[0]

    assert tomllib.loads(block)["project"]["entry-points"]["lesionbench"] == {
        "lesionbench-mirror": "lesionbench_mirror"
    }


@pytest.mark.parametrize("name", ["LabelledImages", "TrainingSet", "RunContext", "LoadedDataset"])
def test_the_guide_lists_what_a_plugin_is_given(name):
    given = getattr(lesionbench, name)
    public = [
        one for one, value in vars(given).items() if not one.startswith("_") and not isinstance(value, classmethod)
    ]
    table = GUIDE.partition(f"**`{name}`**")[2].partition("\n**`")[0]

    for attribute in {*given.__dataclass_fields__, *public}:
        assert re.search(rf"`{attribute}\b", table), f"docs/writing-a-plugin.md: {name} has {attribute}"


@pytest.mark.parametrize("kind", ["Augmenter", "Classifier", "Dataset"])
def test_the_guide_lists_what_a_plugin_may_declare_and_define(kind):
    section = GUIDE.partition(f"## {kind}s\n")[2].partition("\n## ")[0]
    plugin = getattr(lesionbench, kind)
    methods = [name for name, value in vars(plugin).items() if callable(value) and not name.startswith(("_", "model_"))]

    for name in [*plugin.__class_vars__ - Plugin.__class_vars__, *methods]:
        assert re.search(rf"\b{name}\b", section), f"docs/writing-a-plugin.md: {kind} has {name}"


def test_the_guide_lists_what_every_plugin_may_declare():
    for name in Plugin.__class_vars__ - {"name", "model_config"}:
        assert f"| `{name}` |" in GUIDE, f"docs/writing-a-plugin.md: every plugin has {name}"


def _tree_of_the_page():
    """Every path that the tree of the architecture page has a line for, folders with a slash, in order."""
    text = ARCHITECTURE.partition("```\nsrc/lesionbench/\n")[2].partition("```")[0]
    folders, found = {}, []
    for line in text.splitlines():
        name, _, says = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        assert says.strip(), f"a line of docs/architecture.md says nothing: {line!r}"
        path = folders.get(depth - 1, "") + name
        folders[depth] = path
        found.append(path)
    return found


def _tree_of_the_source():
    """The line that each folder and file of the source may have in the architecture page, by path."""
    lines = {}
    for file in sorted((ROOT / "src" / "lesionbench").rglob("*.py")):
        path = file.relative_to(ROOT / "src" / "lesionbench")
        if path.name == "__init__.py" and path.parent.name:
            path, name = f"{path.parent.as_posix()}/", f"{path.parent.name}/"
        elif path.name in ("__init__.py", "__main__.py"):
            continue
        else:
            path, name = path.as_posix(), path.name
        says = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]
        lines[path] = f"{'  ' * (path.rstrip('/').count('/') + 1) + name:<30} {says}"
    return lines


def test_the_architecture_page_has_one_line_for_every_folder_and_file_of_the_source():
    listed, lines = _tree_of_the_page(), _tree_of_the_source()
    missing = "\n".join(line for path, line in lines.items() if path not in listed)
    assert not missing, f"add to the tree of docs/architecture.md, each under its folder:\n{missing}"

    gone = [path for path in listed if path not in lines]
    assert not gone, f"take out of the tree of docs/architecture.md: {', '.join(gone)}"
    assert len(listed) == len(set(listed)), "a file stands twice in the tree of docs/architecture.md"


@pytest.mark.parametrize("folder", MAY_KNOW)
def test_the_architecture_page_says_what_a_folder_may_import(folder):
    known = ", ".join(f"`{name}`" for name in sorted(MAY_KNOW[folder] - {folder, "__version__"}))

    assert f"| `{folder}` | {known} |" in ARCHITECTURE


def _headings(page):
    """The anchors that a page's headings have on a code host, in order."""
    titles = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(name):
    for link in re.findall(r"\]\(([^)\s]+)\)", CODE_BLOCK.sub("", PAGES[name])):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert target.is_relative_to(ROOT) and target.exists(), f"{name}: {link}"
        assert not anchor or anchor in _headings(target.read_text()), f"{name}: {link}"


def _command_lines(page):
    """The `lesionbench` lines of a page's code blocks, as lists of arguments, without comments."""
    text = "".join(CODE_BLOCK.findall(page)).replace("\\\n", " ")
    lines = [line.removeprefix("$ ").strip() for line in text.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("lesionbench ")]


COMMAND_LINES = [(name, arguments) for name, page in PAGES.items() for arguments in _command_lines(page)]


@pytest.mark.parametrize(("name", "arguments"), COMMAND_LINES, ids=[" ".join(one) for _, one in COMMAND_LINES])
def test_every_command_line_of_the_pages_is_understood(name, arguments):
    """The command and its options exist and their values have the right type; nothing is run."""
    import typer

    from lesionbench.cli.main import app

    command, arguments = typer.main.get_command(app), list(arguments)
    while hasattr(command, "get_command"):
        word = arguments.pop(0)
        command = command.get_command(None, word)
        assert command is not None, f"{name}: there is no command {word!r}"
    if "--help" not in arguments:
        command.make_context(command.name, arguments)


def test_the_command_lines_of_the_pages_are_found():
    assert ["run", "--augmenter", "dcgan", "--synthetic", "480"] in _command_lines(README)


def test_the_citation_file_names_what_citing_needs():
    import yaml

    from lesionbench import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())

    assert {"cff-version", "message", "title", "type", "version", "license", "authors"} <= set(citation)
    assert (citation["title"], str(citation["version"]), citation["license"]) == (
        "lesionbench",
        __version__,
        "Apache-2.0",
    )
    assert citation["authors"] == [{"name": "The lesionbench authors"}]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_about_the_source_names_exists(name):
    for path in re.findall(r"`([\w./-]+/[\w.-]*)`", CODE_BLOCK.sub("", PAGES[name])):
        assert (ROOT / path).exists() or (ROOT / "src" / "lesionbench" / path).exists() or "NAME" in path, path


@pytest.mark.parametrize("name", PAGES)
def test_python_in_the_pages_is_valid_and_uses_names_that_exist(name):
    for code in re.findall(r"^```python\n(.*?)^```", PAGES[name], re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "lesionbench":
                assert hasattr(lesionbench, node.attr), f"{name}: lesionbench.{node.attr}"
