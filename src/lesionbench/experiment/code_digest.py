"""A digest of the code that a result depends on: what it does, not how it reads or where it stands.

The digest covers the syntax of some modules and, transitively, of every module that they import from their own package
or from lesionbench. Left out is what cannot change a result: comments, docstrings, imports for type checkers, messages
of errors, descriptions of settings, and the names and folders of the modules themselves.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench import errors
from lesionbench.experiment.store import file_digest, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

CORE = "lesionbench"
HOME = "_HOME"  # a package's table of the names that it loads when they are first used, and their modules
NO_EFFECT = ("lesionbench.errors", "lesionbench.hookspecs", "lesionbench.pictures")  # name errors, register, draw
OUR_ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type)}  # they carry words alone
NOT_DATA = {".py", ".pyc", ".pyi", ".md", ".typed"}
_NO_EFFECT = tuple(f"{module}." for module in NO_EFFECT)


@dataclass(frozen=True)
class _Import:
    """One import of a module that the digest follows; an empty name stands for the module itself."""

    module: str
    name: str = ""
    alias: str = ""


@dataclass(frozen=True)
class _Source:
    """One module's syntax without the imports that are followed, these imports, and whether it imports by name."""

    syntax: str
    imports: tuple[_Import, ...]
    imports_by_name: bool


@cache
def code_digest(*modules: str) -> str:
    """One SHA-256, in hex, over these modules and all that they import from their own packages and from lesionbench.

    A package that imports modules by a computed name counts whole. Data files of a plugin's package count too.
    """
    packages = frozenset({CORE, *map(_top, modules)})
    seen: dict[str, _Source] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen[module] = source = _read(module, packages)
            waiting += [one.module for one in source.imports]
            if source.imports_by_name and _top(module) != CORE:
                waiting += _all_modules(_top(module))
    digests = {_digest(source, packages) for source in seen.values()}
    data = [file_digest(path) for package in packages - {CORE} for path in _data_files(package)]
    return key_of([sorted(digests), sorted(data)])


def bare_syntax(node: ast.AST) -> tuple[str, list[str]]:
    """A definition without what cannot change a result, as text, and the modules of lesionbench that it imports."""
    bare = _Bare("", frozenset({CORE}))
    syntax = ast.unparse(ast.fix_missing_locations(bare.visit(node)))
    return syntax, [one.module for one in bare.imports]


def _top(module: str) -> str:
    return module.partition(".")[0]


def _digest(source: _Source, packages: frozenset[str]) -> str:
    """The digest of a module; an imported module is known by its own syntax, not by its name."""
    imports = sorted([_syntax_digest(one.module, packages), one.name, one.alias] for one in source.imports)
    return key_of([source.syntax, imports])


@cache
def _syntax_digest(module: str, packages: frozenset[str]) -> str:
    return hashlib.sha256(_read(module, packages).syntax.encode()).hexdigest()


@cache
def _read(module: str, packages: frozenset[str]) -> _Source:
    file = _file_of(module)
    if file is None:
        return _Source("", (), imports_by_name=False)
    if file.suffix != ".py":
        return _Source(file_digest(file), (), imports_by_name=False)
    tree = ast.parse(file.read_bytes())
    is_package = file.name == "__init__.py"
    bare = _Bare(module if is_package else module.rpartition(".")[0], packages)
    syntax = ast.unparse(ast.fix_missing_locations(bare.visit(tree)))
    return _Source(syntax, tuple(bare.imports), bare.imports_by_name)


def _file_of(module: str) -> Path | None:
    """The file of a module, found without importing it; None for one that has no file, such as a notebook's."""
    top, _, rest = module.partition(".")
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is not None:
        return Path(loaded)
    try:
        spec = find_spec(top)
    except ValueError:  # `__main__` of a notebook
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.has_location and spec.origin else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder, *rest.split("."))
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


def _package_folder(package: str) -> Path | None:
    """The folder of a package, or None for a module that is a single file."""
    file = _file_of(package)
    return file.parent if file is not None and file.name == "__init__.py" else None


def _all_modules(package: str) -> list[str]:
    folder = _package_folder(package)
    if folder is None:
        return []
    paths = (path.relative_to(folder).with_suffix("") for path in sorted(folder.rglob("*.py")))
    return [".".join((package, *path.parts)).removesuffix(".__init__") for path in paths]


def _data_files(package: str) -> list[Path]:
    """The files of a plugin's package that are no Python source, such as tables or compiled modules."""
    folder = _package_folder(package)
    files = sorted(folder.rglob("*")) if folder is not None else []
    return [path for path in files if path.is_file() and path.suffix not in NOT_DATA]


@cache
def _home_of(package: str, name: str) -> str | None:
    """The module from which a package loads a name when it is first used, or None."""
    file = _file_of(package)
    if file is None or file.name != "__init__.py":
        return None
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == HOME:
            found = ast.literal_eval(node.value).get(name)
            return None if found is None else f"{package}.{found}"
    return None


class _Bare(ast.NodeTransformer):
    """Removes from a module's syntax what cannot change a result, and collects the imports to follow."""

    def __init__(self, package: str, packages: frozenset[str]) -> None:
        self.package = package
        self.packages = packages
        self.imports: list[_Import] = []
        self.imports_by_name = False

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Without docstrings."""
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Without imports for type checkers."""
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            kept = [self.visit(inner) for inner in node.orelse]
            return [inner for inner in kept if inner is not None]
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Without the messages of errors."""
        if isinstance(node.exc, ast.Call):
            ours = ast.unparse(node.exc.func) in OUR_ERRORS
            node.exc.args = [] if ours else [one for one in node.exc.args if not _is_text(one)]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Without the descriptions of settings."""
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == "Field":
            node.keywords = [one for one in node.keywords if one.arg != "description"]
        self.imports_by_name |= called in ("import_module", "__import__")
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Without the lists of public names."""
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return None
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        """Followed, or kept as it stands."""
        followed = [one for one in node.names if _top(one.name) in self.packages]
        self._follow(_Import(one.name, "", one.asname or "") for one in followed)
        node.names = [one for one in node.names if one not in followed]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Followed, or kept as it stands."""
        module = node.module or ""
        if node.level:
            parts = self.package.split(".")
            module = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [module])])
        if _top(module) not in self.packages:
            return node
        self._follow(_import_of(module, one.name, one.asname or "") for one in node.names)
        return None

    def _follow(self, imports: Iterable[_Import]) -> None:
        self.imports += [one for one in imports if not f"{one.module}.".startswith(_NO_EFFECT)]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """A body that has lost all its statements becomes `pass`."""
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]  # it has a body
        return node


def _import_of(module: str, name: str, alias: str) -> _Import:
    """The module that gives a name: a module within a package, the name's home, or the module as written."""
    within = f"{module}.{name}"
    if _file_of(within) is not None:
        return _Import(within, "", alias or name)
    return _Import(_home_of(module, name) or module, name, alias)


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def modules_of(cls: type, base: type) -> Iterable[str]:
    """The modules of a class and of those of its parents that are below `base`."""
    return sorted({parent.__module__ for parent in cls.__mro__ if issubclass(parent, base) and parent is not base})
