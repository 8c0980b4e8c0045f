"""Plugins written as text, such as `dcgan[steps=500]`, and suggestions for misspelt words."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from lesionbench.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lesionbench.pipeline.plugin import Plugin

Settings = TypeVar("Settings", bound=BaseModel)


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """The name and the settings (still text) that `name[key=value,...]` stands for; raises SettingsError."""
    match = re.fullmatch(r"\s*([^\[\]\s]+)\s*(?:\[(.*)\])?\s*", spec)
    if match is None:
        raise SettingsError(f"a plugin is written NAME or NAME[key=value,...], not {spec!r}")
    settings: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in (match[2] or "").split(","))):
        key, equals, value = (text.strip() for text in part.partition("="))
        if not equals or not key:
            raise SettingsError(f"a setting is written key=value, not {part!r} (in {spec!r})")
        if key in settings:
            raise SettingsError(f"a setting may be given once, but {key!r} stands twice in {spec!r}")
        settings[key] = value
    return match[1], settings


def spec_of(plugin: Plugin) -> str:
    """The plugin as text: its name, and in brackets the settings that differ from their defaults."""
    values = plugin.model_dump(mode="json")
    defaults = type(plugin)().model_dump(mode="json")
    changed = [f"{key}={values[key]}" for key in values if values[key] != defaults[key]]
    return f"{plugin.name}[{','.join(changed)}]" if changed else plugin.name


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'dcgan'?` if a known word is similar, else an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


# What pydantic says in its own terms, by the beginning of its name for the problem.
RULES = {
    "int_": "a whole number is needed",
    "float_": "a number is needed",
    "string_": "text is needed",
    "path_": "a folder is needed",
    "tuple_": "a list is needed",
    "too_short": "at least one is needed",
}


def what_is_wrong(problem: Any) -> str:
    """One problem of a pydantic ValidationError: the rule, and the value that breaks it."""
    rule = next((rule for name, rule in RULES.items() if problem["type"].startswith(name)), problem["msg"])
    return f"{rule.removeprefix('Value error, ')}, not {shown(problem['input'])}"


def shown(value: object) -> str:
    """The beginning of a value as Python writes it, for a message."""
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):
        return f"{type(value).__name__} that is too long to be shown"


def made_of(what: str, cls: type[Settings], settings: Mapping[str, str], see: str) -> Settings:
    """An object of a class of settings; raises SettingsError that says what of its settings is wrong.

    what: how the class is called in the message.  see: the command that lists its settings.
    """
    for key in settings:
        if key not in cls.model_fields:
            known = ", ".join(cls.model_fields) or "none"
            raise SettingsError(
                f"{what} has no setting {key!r}{did_you_mean(key, cls.model_fields)} (settings: {known})"
            )
    try:
        return cls.model_validate(settings)
    except ValidationError as error:
        raise SettingsError(f"{what}: {_sentence(error)}; see: {see}") from None


def _sentence(error: ValidationError) -> str:
    def one(problem: Any) -> str:
        where = ".".join(str(part) for part in problem["loc"])
        return f"{where}: {what_is_wrong(problem)}" if where else problem["msg"].removeprefix("Value error, ")

    return "; ".join(one(problem) for problem in error.errors())
