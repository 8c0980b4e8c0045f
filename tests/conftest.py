"""What the tests share: plugin packages installed outside the repository, and the command line as a user has it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO

import hypothesis
import hypothesis.configuration
import pytest
from filelock import FileLock
from s3_server import S3Server

from lesionbench.cli.main import main
from lesionbench.workers import apart
from lesionbench.workers.apart import ONE_THREAD

for (
    name,
    value,
) in ONE_THREAD.items():  # two processes of pytest share the cores; read when numpy and torch are imported
    os.environ.setdefault(name, value)

# What the tests start must end by signals, also where nohup, or a shell that runs the tests in the background, has
# them ignored.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# The same examples every time; nothing is kept of them, and a busy machine fails none.
hypothesis.settings.register_profile("same", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("same")
hypothesis.configuration.set_hypothesis_home_dir(Path(gettempdir()) / "lesionbench-hypothesis")

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{package}"
version = "1.0"
dependencies = ["lesionbench"]
[project.entry-points.lesionbench]
{package} = "{module}"
[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""


LONG = ("test_tutorial.py", "test_run.py", "test_resuming.py", "test_running.py")  # half a minute each and more


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, so that in the end no process of pytest waits for another's."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_collection_finish() -> None:
    """Let the garbage collector skip what pytest and the libraries hold; statsmodels starts it for every p-value."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the process end as any other: some libraries complain of objects that were not collected."""
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="module")
def libraries_of_this_file_alone() -> None:
    """Let workers import what earlier tasks of the same file needed, and not torch because another file's did."""
    apart._libraries.clear()


@dataclass
class CommandLine:
    """`lesionbench` in a folder of its own, with extra packages on the path."""

    cwd: Path
    packages: tuple[Path, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: object, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run it to its end; the exit status must be `status` unless that is None."""
        done = self.run(arguments)
        assert status in (None, done.returncode), f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def run(self, arguments: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
        """Run it in a process of its own, as a user does."""
        command = self.command(*arguments)
        return subprocess.run(command, cwd=self.cwd, env=self.env(), capture_output=True, text=True, timeout=1200)

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "lesionbench", *map(str, arguments)]

    def env(self) -> dict[str, str]:
        path = os.pathsep.join(map(str, self.packages))
        return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **self.environment}


class CommandLineHere(CommandLine):
    """`lesionbench` in this process, which has imported already what a new one takes seconds to import."""

    def run(self, arguments: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
        """Call `main` with these arguments; the workers of a run are processes of their own, as ever."""
        with TemporaryFile("w+") as out, TemporaryFile("w+") as errors:
            with pytest.MonkeyPatch.context() as patch, writing_to(out, errors):
                patch.chdir(self.cwd)
                patch.setattr(sys, "argv", ["lesionbench", *map(str, arguments)])
                for package in self.packages:
                    patch.syspath_prepend(package)
                for name, value in self.env().items():
                    patch.setenv(name, value)
                status = status_of(main)
            return subprocess.CompletedProcess(self.command(*arguments), status, *map(text_of, (out, errors)))


@contextmanager
def writing_to(out: IO[str], errors: IO[str]) -> Iterator[None]:
    """Let this process and those that it starts write into these files instead of stdout and stderr."""
    before = os.dup(1), os.dup(2)
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            os.dup2(out.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            yield
    finally:
        for number, kept in enumerate(before, start=1):
            os.dup2(kept, number)
            os.close(kept)


def status_of(main: Callable[[], None]) -> int | str | None:
    """The exit status with which a process would end."""
    try:
        main()
    except SystemExit as ended:
        return ended.code
    return 0


def text_of(file: IO[str]) -> str:
    """All that was written into a file."""
    file.seek(0)
    return file.read()


def install(source: Path, package: str, code: str, into: Path) -> Path:
    """Write a plugin package of one module into `source` and install it with pip into the folder `into`."""
    module = package.replace("-", "_")
    source.mkdir(parents=True)
    (source / f"{module}.py").write_text(code, encoding="utf-8")
    (source / "pyproject.toml").write_text(PYPROJECT.format(package=package, module=module), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", into, source], check=True, timeout=120)
    return into


@pytest.fixture(scope="session")
def spy_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the spy plugins are installed, once for all processes of pytest."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "spy"
    code = (Path(__file__).parent / "packages" / "spy.py").read_text(encoding="utf-8")
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            install(folder / "source", "lesionbench-spy", code, folder / "site")
    return folder / "site"


@pytest.fixture
def lesionbench(tmp_path: Path) -> CommandLine:
    """The command line without extra plugins, in an empty folder."""
    return CommandLineHere(tmp_path)


@pytest.fixture
def with_spies(tmp_path: Path, spy_package: Path) -> CommandLine:
    """The command line with the spy plugins installed, in an empty folder."""
    return CommandLineHere(tmp_path, (spy_package,))


@pytest.fixture
def signals_arrive() -> Iterator[None]:
    """Let Ctrl-C and a hang-up end what a test starts, also where `&` or `nohup` before pytest lets them be ignored."""
    ends = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in ends.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A server that speaks S3."""
    server = S3Server.start()
    yield server
    server.stop()
