"""A digest of the code that a result depends on: what it does, not how it reads or where it stands.

The digest covers the syntax of some modules and, transitively, of every module that they import from their own package,
from lesionbench, or from a folder where packages are not installed. Left out is what cannot change a result: comments,
docstrings, imports for type checkers, messages of errors, descriptions of settings, the order of a module's imports,
and the names and folders of the modules themselves.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from dataclasses import astuple, dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench import errors
from lesionbench.store.digests import file_digest, files_digest, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.machinery import ModuleSpec

CORE = "lesionbench"
HOME = "_HOME"  # a package's table of the names that it loads when they are first used, and their modules
NO_EFFECT = ("lesionbench.errors", "lesionbench.hookspecs", "lesionbench.pictures")  # name errors, register, draw
OUR_ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type)}  # they carry words alone
NOT_DATA = {".py", ".pyc", ".pyi", ".md", ".typed"}
INSTALLED = {"site-packages", "dist-packages"}  # what lies there is known by its version
BY_NAME = {"importlib", "pkgutil", "runpy"}  # libraries that import a module by its name
NOT_BY_NAME = {"metadata", "resources"}  # parts of importlib that do not
BUILT_IN_BY_NAME = {"__import__", "eval", "exec"}
_NO_EFFECT = tuple(f"{module}." for module in NO_EFFECT)


@dataclass(frozen=True)
class _Import:
    """One import of a module that the digest follows; an empty name stands for the module itself.

    place: 0 where the order does not matter; else the number in the syntax that stands where the import stood.
    """

    module: str
    name: str = ""
    alias: str = ""
    place: int = 0


@dataclass(frozen=True)
class _Source:
    """One module's syntax without the imports that are followed, these imports, and whether it imports by name.

    public: the names that `import *` takes, where the module lists them.
    """

    syntax: str
    imports: tuple[_Import, ...] = ()
    imports_by_name: bool = False
    public: str = ""


@cache
def code_digest(*modules: str) -> str:
    """One SHA-256, in hex, over these modules and all that they import, but for what is installed or of Python itself.

    A package that imports modules by a computed name counts whole. Data files of a plugin's package count too.
    """
    seen, data = _behind(*modules)
    return key_of([sorted(set(_digests(seen).values())), sorted(set(data.values()))])


@cache
def module_digests(*modules: str) -> dict[str, str]:
    """The digest of every module behind `code_digest`, of its own code alone, by name: to say which one changed.

    The data files of a package stand under `PACKAGE data files`.
    """
    seen, data = _behind(*modules)
    own = {name: key_of([one.syntax, list(map(astuple, one.imports)), one.public]) for name, one in seen.items()}
    return {**own, **{f"{top} data files": digest for top, digest in data.items()}}


def _behind(*modules: str) -> tuple[dict[str, _Source], dict[str, str]]:
    """These modules and all that they import, but for what is installed; and a digest of the data of each package."""
    packages = frozenset({CORE, *map(_top, modules)})
    seen: dict[str, _Source] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen[module] = source = _read(module, packages)
            waiting += [one.module for one in source.imports]
            if _top(module) != CORE:  # the packages of lesionbench itself only register, or load nothing
                waiting += [module.rpartition(".")[0]] if "." in module else []
                waiting += _all_modules(_top(module)) if source.imports_by_name else []
    tops = {_top(module) for module in seen} - {CORE}
    return seen, {top: _data_digest(top) for top in tops if top in packages or _file_of(top) is not None}


def read_again() -> None:
    """Forget what was read; a file may have been edited since an earlier run in this process."""
    for cached in (code_digest, module_digests, _read, _data_digest, _home_of, is_local):
        cached.cache_clear()


def bare_syntax(node: ast.AST) -> tuple[str, list[str]]:
    """A definition without what cannot change a result, as text, and the modules of lesionbench that it imports."""
    bare = _Bare("", frozenset({CORE}))
    syntax = ast.unparse(bare.visit(node))
    return "\n".join([syntax, *map(str, bare.imports)]), [one.module for one in bare.imports]


@cache
def is_local(top: str) -> bool:
    """Whether a module or package lies in a folder where none are installed, so that its version says nothing."""
    if top in sys.stdlib_module_names or top == "__main__":
        return False
    file = _file_of(top)
    places = [file] if file is not None else _folders(top)
    return bool(places) and not any(INSTALLED.intersection(place.parts) for place in places)


def _top(module: str) -> str:
    return module.partition(".")[0]


def _digests(seen: dict[str, _Source]) -> dict[str, str]:
    """The digest of every module; an imported module is known by its digest, not by its name.

    Modules may import each other in a circle, so the digests start from each module's own syntax, and as many rounds
    follow as the longest way from import to import can have steps.
    """
    own = {module: hashlib.sha256(source.syntax.encode()).hexdigest() for module, source in seen.items()}
    digests = own
    for _ in seen:
        before = digests
        digests = {
            module: key_of(
                [
                    own[module],
                    sorted(
                        [
                            one.place,
                            before[one.module],
                            one.name,
                            one.alias,
                            seen[one.module].public * (one.name == "*"),
                        ]
                        for one in source.imports
                    ),
                ]
            )
            for module, source in seen.items()
        }
    return digests


@cache
def _read(module: str, packages: frozenset[str]) -> _Source:
    file = _file_of(module)
    if file is None:
        return _Source("")
    if file.suffix != ".py":
        return _Source(file_digest(file))
    tree = ast.parse(file.read_bytes())
    is_package = file.name == "__init__.py"
    bare = _Bare(module if is_package else module.rpartition(".")[0], packages, tree.body)
    syntax = ast.unparse(bare.visit(tree))
    return _Source("\n".join([*sorted(bare.outside), syntax]), tuple(bare.imports), bare.imports_by_name, bare.public)


def _file_of(module: str) -> Path | None:
    """The file of a module, found without importing it; None for one that has no file, such as a notebook's."""
    top, _, rest = module.partition(".")
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is not None:
        return Path(loaded)
    if not rest:
        spec = _spec(top)
        return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
    for folder in _folders(top):
        place = folder.joinpath(*rest.split("."))
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


def _spec(top: str) -> ModuleSpec | None:
    try:
        return find_spec(top)
    except ValueError:  # `__main__` of a notebook
        return None


def _folders(package: str) -> list[Path]:
    """The folder of a package, or several where packages share a name; none for a module that is a single file."""
    file = _file_of(package)
    if file is not None:
        return [file.parent] if file.name == "__init__.py" else []
    spec = _spec(package)
    return [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]


def _all_modules(package: str) -> list[str]:
    paths = [
        path.relative_to(folder).with_suffix("")
        for folder in _folders(package)
        for path in sorted(folder.rglob("*.py"))
    ]
    return [".".join((package, *path.parts)).removesuffix(".__init__") for path in paths]


@cache
def _data_digest(package: str) -> str:
    """One digest of the files of a package that are no Python source, such as tables or compiled modules."""
    return key_of([files_digest(_data_files(folder), folder) for folder in _folders(package)])


def _data_files(folder: Path) -> list[Path]:
    """The files of a package that are no Python source, but for hidden ones, which desktops and editors leave."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix not in NOT_DATA and path.is_file()]
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


@cache
def _home_of(package: str, name: str) -> str | None:
    """The module from which a package of lesionbench loads a name when it is first used, or None."""
    file = _file_of(package)
    if _top(package) != CORE or file is None or file.name != "__init__.py":
        return None
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == HOME:
            found = ast.literal_eval(node.value).get(name)
            return None if found is None else f"{package}.{found}"
    return None


class _Bare(ast.NodeTransformer):
    """Removes from a module's syntax what cannot change a result, and collects the imports to follow."""

    def __init__(self, package: str, packages: frozenset[str], body: Sequence[ast.stmt] = ()) -> None:
        self.package = package
        self.packages = packages
        self.body = set(body)  # the statements of the module itself, not those inside a function or a condition
        self.imports: list[_Import] = []  # followed
        self.outside: list[str] = []  # of the module itself and not followed; their order does not matter
        self.places = 0
        self.imports_by_name = False
        self.public = ""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Without docstrings."""
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Without imports for type checkers."""
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            kept = [self.visit(inner) for inner in node.orelse]
            return [one for some in kept for one in (some if isinstance(some, list) else [some]) if one is not None]
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
        self.imports_by_name |= called == "import_module"
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Kept, and noted when it can import by name."""
        self.imports_by_name |= node.id in BUILT_IN_BY_NAME
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Without the lists of public names."""
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            self.public = ast.unparse(node.value)
            return None
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        """Followed, or kept as it stands."""
        followed = [one for one in node.names if self._is_followed(one.name)]
        marks = self._follow(node, [_Import(one.name, "", one.asname or "") for one in followed])
        node.names = [one for one in node.names if one not in followed]
        for one in node.names:
            self._note_by_name(*one.name.split("."))
        kept = self._outside(node) if node.names else []
        return [*marks, *kept]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        """Followed, or kept as it stands."""
        module = node.module or ""
        if node.level:
            parts = self.package.split(".")
            module = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [module])])
        if self._is_followed(module):
            return self._follow(node, [_import_of(module, one.name, one.asname or "") for one in node.names])
        for one in node.names:
            self._note_by_name(*module.split("."), one.name)
        return self._outside(node)

    def _is_followed(self, module: str) -> bool:
        return _top(module) in self.packages or (bool(self.packages) and is_local(_top(module)))

    def _note_by_name(self, top: str, part: str = "", *_: str) -> None:
        self.imports_by_name |= top in BY_NAME and part not in NOT_BY_NAME

    def _follow(self, node: ast.stmt, imports: list[_Import]) -> list[ast.stmt]:
        """Note imports, and give what stands in their place where it matters: inside others, or with `*`."""
        marks: list[ast.stmt] = []
        for one in imports:
            if f"{one.module}.".startswith(_NO_EFFECT):
                continue
            if node in self.body and one.name != "*":
                self.imports.append(one)
                continue
            self.places += 1
            self.imports.append(replace(one, place=self.places))
            marks.append(ast.Expr(ast.Constant(self.places)))
        return marks

    def _outside(self, node: ast.Import | ast.ImportFrom) -> list[ast.stmt]:
        """An import that is kept: as text, one name at a time, where its order does not matter, else as it stands."""
        if node not in self.body or any(one.name == "*" for one in node.names):
            return [node]
        for one in list(node.names):
            node.names = [one]
            self.outside.append(ast.unparse(node))
        return []

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
