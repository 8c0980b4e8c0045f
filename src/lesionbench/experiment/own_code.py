"""Plugin classes that no package brings: their code as a digest for the store's keys, and themselves by value.

A class of a notebook or a script lives in `__main__`, which a worker process cannot import. So the class is sent with
every task, and its digest is taken before: of its own syntax, and of every function, class and constant that it uses.
"""

from __future__ import annotations
import __future__

import ast
import copy
import hashlib
import inspect
import io
import linecache
import symtable
import sys
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import packages_distributions, version
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle

from lesionbench.errors import PluginError
from lesionbench.experiment.code_digest import CORE, bare_syntax, code_digest, is_local, read_again
from lesionbench.plugins import OWN
from lesionbench.store.digests import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Plugins

NOTE = "__own_code__"  # on a class: its OwnCode, which travels with it
LARGEST = 20_000_000  # bytes that travel with every task


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
    read_again()
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
    parts: list[list[str]] = field(default_factory=list)  # each thing's name, and its syntax or digest
    seen: dict[tuple[str, int], object] = field(default_factory=dict)  # by name and identity: a name may be used twice
    modules: set[str] = field(default_factory=set)  # whose code counts
    versions: dict[str, str] = field(default_factory=dict)  # of libraries

    def digest(self) -> str:
        """One digest of all that was found."""
        return key_of([self.parts, self.versions, code_digest(*sorted(self.modules)) if self.modules else ""])

    def add(self, name: str, value: Any) -> None:
        """Note a thing and, if its code is nowhere to be imported from, all that it uses."""
        if (name, id(value)) in self.seen:
            return
        self.seen[name, id(value)] = value
        part = [name, ""]
        self.parts.append(part)  # before its content: it may use itself
        if isinstance(value, type | FunctionType) and not _importable(value.__module__):
            part[1] = self._definition(value)
        elif isinstance(value, ModuleType | type | FunctionType):
            part[1] = _home(value)
            self.library(_home_module(value))
        else:
            part[1] = self.constant(name, value)

    def _definition(self, value: type | FunctionType) -> str:
        """The syntax of a class or a function; what it uses is added too."""
        functions = [one for one in _functions_of(value) if linecache.getlines(one.__code__.co_filename)]
        source = _Source.of(value, functions) if functions else None
        if source is None:
            raise PluginError(
                f"the source of {value.__name__} cannot be read, and results are kept under it; define the class in a "
                "notebook cell, a script or a module, with a method of its own"
            )
        self._add_held(value)
        for function in [*functions, *(_wrappers(value) if isinstance(value, FunctionType) else [])]:
            self._add_bound(function)
        names = functions[0].__globals__
        for name in sorted(source.names & names.keys()):
            self.add(name, names[name])
        syntax, imported = source.bare()
        for module in [*imported, *source.imports(), *source.modules_named(names)]:
            self.library(module)
        return syntax

    def _add_held(self, value: type | FunctionType) -> None:
        """Add what a class or function holds now: its parents and class variables, and what was set on it since."""
        for parent in value.__bases__ if isinstance(value, type) else ():
            self.add(f"parent of {value.__name__}", parent)
        own = _functions_of(value)
        for name, held in vars(value).items():
            if name.startswith(("__", "model_", "_abc_")) or inspect.ismemberdescriptor(held):  # of Python, of pydantic
                continue
            function = _function_in(held)
            if function is None or inspect.unwrap(function) not in own:
                self.add(f"{value.__name__}.{name}", held if function is None else function)

    def _add_bound(self, function: FunctionType) -> None:
        """Add the variables of the functions around a function, and its default arguments."""
        for name, value in _closure(function).items():
            self.add(name, value)
        for place, default in enumerate([*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]):
            self.add(f"default {place} of {function.__qualname__}", default)
        if _importable(function.__globals__.get("__name__", "__main__")):  # a decorator's, from a library
            self.library(function.__globals__["__name__"])

    def library(self, module: str) -> None:
        """Note the version of an installed library, or the code of a module that is not installed."""
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or module == CORE:
            return
        if top == CORE or is_local(top):
            self.modules.add(module)
        for package in _packages().get(top, []) if top != CORE else []:
            self.versions[package] = version(package)

    def constant(self, name: str, value: object) -> str:
        """The digest of a value; the functions and classes in it are noted like others."""
        written = io.BytesIO()
        try:
            _Pickler(written, self, name).dump(value)
        except PluginError:
            raise
        except Exception as error:  # whatever an object raises
            raise PluginError(
                f"{self.plugin.__name__} uses {name!r}, which cannot be sent to worker processes "
                f"({type(error).__name__}: {error}); create it inside `fit`"
            ) from None
        return hashlib.sha256(written.getvalue()).hexdigest()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is not typed
    """Writes a value with names in place of the functions and classes in it, which are noted, and sets in order."""

    def __init__(self, file: io.BytesIO, walk: _Walk, name: str) -> None:
        super().__init__(file)
        self.walk = walk
        self.name = name

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, ModuleType | type | FunctionType):
            self.walk.add(f"{self.name}: {_home(value)}", value)
            return _home(value)
        if isinstance(value, set | frozenset):
            return sorted(self.walk.constant(self.name, one) for one in value)
        home = getattr(value, "__module__", None)
        if isinstance(home, str):
            self.walk.library(home)
        return None


def _home_module(value: ModuleType | type | FunctionType) -> str:
    return value.__name__ if isinstance(value, ModuleType) else value.__module__


def _home(value: ModuleType | type | FunctionType) -> str:
    """Where a thing is defined, as text."""
    return f"{_home_module(value)}.{getattr(value, '__qualname__', '')}"


@cache
def _packages() -> Mapping[str, list[str]]:
    """The installed packages by the modules that they bring."""
    return packages_distributions()


def _functions_of(value: type | FunctionType) -> list[FunctionType]:
    """The function itself without decorators, or the functions that the body of a class defines."""
    if isinstance(value, FunctionType):
        return [inspect.unwrap(value)]
    inner = [inspect.unwrap(one) for one in map(_function_in, vars(value).values()) if one is not None]
    return [one for one in inner if one.__qualname__.startswith(f"{value.__qualname__}.")]  # not those of pydantic


def _function_in(member: Any) -> FunctionType | None:
    """The function of a method, a class method, a property and the like; None for other members of a class."""
    found = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
    return found if isinstance(found, FunctionType) else None


def _wrappers(function: FunctionType) -> list[FunctionType]:
    """The functions that decorators put around a function, outermost first."""
    found = []
    while isinstance(inner := getattr(function, "__wrapped__", None), FunctionType):
        found.append(function)
        function = inner
    return found


def _closure(function: FunctionType) -> dict[str, Any]:
    """The variables of the functions around a function, by name."""
    cells: tuple[CellType, ...] = function.__closure__ or ()
    found = zip(function.__code__.co_freevars, cells, strict=True)
    return {name: cell.cell_contents for name, cell in found if name != "__class__" and cell != CellType()}


@dataclass(frozen=True)
class _Source:
    """The source of one definition: its syntax, and the text of the cell or file around it."""

    nodes: tuple[Any, ...]  # ast.ClassDef, FunctionDef or AsyncFunctionDef; or every Lambda of the line
    text: str
    file: str

    @classmethod
    def of(cls, value: type | FunctionType, functions: list[FunctionType]) -> _Source | None:
        """The definition of a class or function, from where its first function stands; None when it is not known.

        Raises PluginError when the file was edited after its code was read.
        """
        code = functions[0].__code__
        text = "".join(linecache.getlines(code.co_filename))
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return None
        kinds = ast.ClassDef if isinstance(value, type) else (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        found = [node for node in ast.walk(tree) if isinstance(node, kinds) and _stands_at(node, value, code)]
        if not found or not all(_is_from(text, one.__code__) for one in functions if _same_file(one, functions[0])):
            raise PluginError(
                f"{code.co_filename} was edited after {value.__name__} was defined, and results are kept under its "
                "source; start the script or the notebook's kernel again"
            )
        several = isinstance(found[-1], ast.Lambda)  # which one of a line is not known
        return cls(tuple(found) if several else (found[-1],), text, code.co_filename)

    def bare(self) -> tuple[str, list[str]]:
        """The syntax, and the modules of lesionbench that are imported in it; see `bare_syntax`."""
        found = [bare_syntax(copy.deepcopy(node)) for node in self.nodes]
        return "\n".join(syntax for syntax, _ in found), [module for _, modules in found for module in modules]

    def imports(self) -> Iterator[str]:
        """The modules that are imported inside it, and what may be modules among the names taken from them."""
        for one in self._walk():
            if isinstance(one, ast.Import):
                yield from (alias.name for alias in one.names)
            elif isinstance(one, ast.ImportFrom) and one.module:
                yield from (one.module, *(f"{one.module}.{alias.name}" for alias in one.names))

    def modules_named(self, names: Mapping[str, Any]) -> Iterator[str]:
        """The modules within a package that it names, such as `package.module` in `package.module.function`."""
        for one in self._walk():
            if isinstance(one, ast.Attribute):
                first, *rest = ast.unparse(one).split(".")
                value = names.get(first)
                for part in rest:
                    value = getattr(value, part, None) if isinstance(value, ModuleType) else None
                if isinstance(value, ModuleType):
                    yield value.__name__

    def _walk(self) -> Iterator[ast.AST]:
        for node in self.nodes:
            yield from ast.walk(node)

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
        node = self.nodes[0]  # lambdas of one line are alike here
        return (
            table.get_name() == getattr(node, "name", "lambda")
            and _first_line(node) <= table.get_lineno() <= node.lineno
        )

    def _evaluated_outside(self) -> list[ast.expr]:
        """Decorators and the like: what is computed where the definition stands; parents are known from the class."""
        node = self.nodes[0]
        keywords = [keyword.value for keyword in getattr(node, "keywords", [])]
        return [*getattr(node, "decorator_list", []), *keywords]


def _stands_at(node: Any, value: type | FunctionType, code: Any) -> bool:
    """Whether a class encloses its first function, or a function begins where its code does."""
    first = _first_line(node)
    if isinstance(node, ast.ClassDef):
        return node.name == value.__name__ and first <= code.co_firstlineno <= (node.end_lineno or 0)
    return getattr(node, "name", "<lambda>") == value.__name__ and code.co_firstlineno in (first, node.lineno)


def _first_line(node: Any) -> int:
    """The line of its first decorator, or its own."""
    lines: list[int] = [node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))]
    return min(lines)


def _same_file(one: FunctionType, other: FunctionType) -> bool:
    return one.__code__.co_filename == other.__code__.co_filename


def _is_from(text: str, code: CodeType) -> bool:
    """Whether this text, compiled, has exactly this code: a file may have been edited since it was read."""
    futures = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
    waiting = [compile(text, code.co_filename, "exec", code.co_flags & futures, dont_inherit=True)]
    while waiting:
        found = waiting.pop()
        if found == code:
            return True
        waiting += [one for one in found.co_consts if isinstance(one, CodeType)]
    return False


def _tables(top: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield top
    for child in top.get_children():
        yield from _tables(child)
