"""Plugin classes that no package brings: their code as a digest for the store's keys, and themselves by value.

A class of a notebook or a script lives in `__main__`, which a worker process cannot import. So the class is sent with
every task, and its digest is taken before: of its own syntax, and of every function, class and constant that it uses.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import symtable
import sys
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import packages_distributions, version
from types import CellType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle

from lesionbench.errors import PluginError
from lesionbench.experiment.code_digest import CORE, bare_syntax, code_digest
from lesionbench.experiment.store import key_of
from lesionbench.plugins import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Plugins

NOTE = "__own_code__"  # on a class: its OwnCode, which travels with it
LARGEST = 20_000_000  # bytes that travel with every task
INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class OwnCode:
    """The code of a class that no package brings: its digest, and the modules whose code this covers."""

    digest: str
    modules: frozenset[str]


def noted_code(plugin: type[Plugin]) -> OwnCode | None:
    """What `pack` noted on a class; None of one whose module can be imported."""
    found: OwnCode | None = vars(plugin).get(NOTE)
    return found


def pack(plugins: Plugins) -> bytes:
    """The classes that no package brings, for `Plugins.load` in a worker; each now knows the digest of its code.

    Raises PluginError when the source of one cannot be read, or when it cannot be sent to another process.
    """
    own = [found for found in plugins.found.values() if found.package == OWN]
    if not own:
        return b""
    by_value = {module for found in own for module in _modules(found.cls) if not _importable(module)}
    for found in own:
        setattr(found.cls, NOTE, code_of(found.cls))
    packed = _pickled([(found.kind, found.cls) for found in own], by_value - {"__main__"})
    if len(packed) > LARGEST:
        names = ", ".join(found.cls.__name__ for found in own)
        raise PluginError(
            f"what is sent with every task is {LARGEST // 1_000_000} MB at most, but {names} and what they use are "
            f"{len(packed) // 1_000_000} MB; read large arrays from a file inside `fit`"
        )
    return packed


def _pickled(classes: list[tuple[str, type[Plugin]]], by_value: set[str]) -> bytes:
    for module in by_value:
        cloudpickle.register_pickle_by_value(sys.modules[module])
    try:
        packed: bytes = cloudpickle.dumps(classes)
    except Exception as error:  # whatever an object that a class uses raises
        names = ", ".join(cls.__name__ for _, cls in classes)
        raise PluginError(
            f"{names} cannot be sent to worker processes ({type(error).__name__}: {error}); "
            "create what cannot be sent inside `fit`, or bring the class as a package"
        ) from None
    finally:
        for module in by_value:
            cloudpickle.unregister_pickle_by_value(sys.modules[module])
    return packed


def code_of(plugin: type[Plugin]) -> OwnCode | None:
    """The digest of a class that travels by value; None of one whose module workers can import."""
    if _importable(plugin.__module__):
        return None
    walk = _Walk(plugin)
    walk.add(plugin.__name__, plugin)
    return OwnCode(walk.digest(), frozenset(module for module in _modules(plugin) if not _importable(module)))


def _modules(plugin: type[Plugin]) -> set[str]:
    return {parent.__module__ for parent in plugin.__mro__}


def _importable(module: str) -> bool:
    """Whether a fresh process finds a module."""
    top = module.partition(".")[0]
    if top == "__main__":
        return False
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
    return any(finder.find_spec(top, None) is not None for finder in finders)


@dataclass
class _Walk:
    """Everything that a class uses, found name by name from its source."""

    plugin: type[Plugin]
    parts: dict[str, str] = field(default_factory=dict)  # the syntax or the digest of each thing, by name
    modules: set[str] = field(default_factory=set)  # whose code counts
    versions: dict[str, str] = field(default_factory=dict)  # of libraries

    def digest(self) -> str:
        """One digest of all that was found."""
        return key_of([self.parts, self.versions, code_digest(*sorted(self.modules)) if self.modules else ""])

    def add(self, name: str, value: Any) -> None:
        """Note a thing and, if its code is nowhere to be imported from, all that it uses."""
        if name in self.parts:
            return
        self.parts[name] = ""  # it may use itself
        home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(value, type | FunctionType) and not _importable(value.__module__):
            self.parts[name] = self._definition(value)
        elif isinstance(home, str) and isinstance(value, ModuleType | type | FunctionType):
            self.parts[name] = f"{home}.{getattr(value, '__qualname__', '')}"
            self._library(home)
        else:
            self.parts[name] = self._constant(name, value)

    def _definition(self, value: type | FunctionType) -> str:
        """The syntax of a class or a function; what it uses is added too."""
        functions = _functions_of(value)
        source = _Source.of(value, functions) if functions else None
        if source is None:
            raise PluginError(
                f"the source of {value.__name__} cannot be read, and results are kept under it; define the class in a "
                "notebook cell, a script or a module, with a method of its own"
            )
        names: dict[str, Any] = dict(functions[0].__globals__)
        for function in functions:
            names |= _closure(function)
        for name in sorted(source.names & names.keys()):
            self.add(name, names[name])
        for function in functions:
            for place, default in enumerate(
                [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
            ):
                self.add(f"default {place} of {function.__qualname__}", default)
        for module in _imports_in(source.node):
            self._library(module)
        syntax, imported = bare_syntax(source.node)
        for module in imported:
            self._library(module)
        return syntax

    def _library(self, module: str) -> None:
        """Note the version of an installed library, or the code of a module that is not installed."""
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or module == CORE:
            return
        file = getattr(sys.modules.get(top), "__file__", None) or ""
        if top == CORE or (file and not INSTALLED.intersection(file.replace("\\", "/").split("/"))):
            self.modules.add(module)
        for package in _packages().get(top, []) if top != CORE else []:
            self.versions[package] = version(package)

    def _constant(self, name: str, value: object) -> str:
        try:
            return hashlib.sha256(cloudpickle.dumps(value)).hexdigest()
        except Exception as error:  # whatever an object raises
            raise PluginError(
                f"{self.plugin.__name__} uses {name!r}, which cannot be sent to worker processes "
                f"({type(error).__name__}: {error}); create it inside `fit`"
            ) from None


@cache
def _packages() -> Mapping[str, list[str]]:
    """The installed packages by the modules that they bring."""
    return packages_distributions()


def _functions_of(value: type | FunctionType) -> list[FunctionType]:
    """The function itself, or the functions that the body of a class defines."""
    if isinstance(value, FunctionType):
        return [value]
    members = [getattr(one, "__func__", getattr(one, "fget", one)) for one in vars(value).values()]
    inner = [inspect.unwrap(one) for one in members if isinstance(one, FunctionType)]
    return [one for one in inner if one.__qualname__.startswith(f"{value.__qualname__}.")]  # not those of pydantic


def _closure(function: FunctionType) -> dict[str, Any]:
    """The variables of the functions around a function, by name."""
    cells: tuple[CellType, ...] = function.__closure__ or ()
    found = zip(function.__code__.co_freevars, cells, strict=True)
    return {name: cell.cell_contents for name, cell in found if name != "__class__"}


def _imports_in(node: ast.AST) -> Iterator[str]:
    """The modules that are imported inside a definition."""
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            yield from (alias.name for alias in one.names)
        elif isinstance(one, ast.ImportFrom) and one.module:
            yield one.module


@dataclass(frozen=True)
class _Source:
    """The source of one definition: its syntax, and the text of the cell or file around it."""

    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    text: str
    file: str

    @classmethod
    def of(cls, value: type | FunctionType, functions: list[FunctionType]) -> _Source | None:
        """The definition of a class or function, from where its first function stands; None when it is not known."""
        code = functions[0].__code__
        text = "".join(linecache.getlines(code.co_filename))
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return None
        kinds = ast.ClassDef if isinstance(value, type) else (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        found = [node for node in ast.walk(tree) if isinstance(node, kinds) and _stands_at(node, value, code)]
        return cls(found[-1], text, code.co_filename) if found else None

    @cached_property
    def names(self) -> set[str]:
        """The names that it uses and does not define: global ones, and variables of functions around it."""
        top = symtable.symtable(self.text, self.file, "exec")
        tables = [table for table in _tables(top) if self._is_of(table)]
        inner = [table for one in tables for table in _tables(one)]
        found = {symbol.get_name() for table in inner for symbol in table.get_symbols() if not symbol.is_local()}
        return found | {
            node.id for part in self._evaluated_outside() for node in ast.walk(part) if isinstance(node, ast.Name)
        }

    def _is_of(self, table: symtable.SymbolTable) -> bool:
        name = getattr(self.node, "name", "lambda")
        first = min([self.node.lineno, *(one.lineno for one in getattr(self.node, "decorator_list", []))])
        return table.get_name() == name and first <= table.get_lineno() <= self.node.lineno

    def _evaluated_outside(self) -> list[ast.expr]:
        """Decorators and bases: what is computed where the definition stands."""
        keywords = [keyword.value for keyword in getattr(self.node, "keywords", [])]
        return [*getattr(self.node, "decorator_list", []), *getattr(self.node, "bases", []), *keywords]


def _stands_at(node: Any, value: type | FunctionType, code: Any) -> bool:
    """Whether a class encloses its first function, or a function begins where its code does."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(one.lineno for one in decorators)])
    if isinstance(node, ast.ClassDef):
        return node.name == value.__name__ and first <= code.co_firstlineno <= (node.end_lineno or 0)
    return getattr(node, "name", "<lambda>") == value.__name__ and code.co_firstlineno in (first, node.lineno)


def _tables(top: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield top
    for child in top.get_children():
        yield from _tables(child)
