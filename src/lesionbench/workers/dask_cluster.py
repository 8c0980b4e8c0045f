"""The workers of a dask cluster that runs already."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import Field

from lesionbench.errors import SettingsError, Try
from lesionbench.workers.executors import Executor, Opening, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Dask(Executor):
    """The workers of a dask cluster that runs already."""

    scheduler: str | None = Field(None, description="the address of the scheduler, such as tcp://127.0.0.1:8786")

    def everywhere(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        with self._client() as client:
            answers: dict[str, Any] = client.run(function, *args, on_error="return")
        return answers

    def open(self, opening: Opening) -> AbstractContextManager[Workers]:
        return self._open()

    @contextmanager
    def _open(self) -> Iterator[Workers]:
        with self._client() as client:
            yield Workers(client.get_executor(pure=False), sum(client.nthreads().values()))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """A client of the scheduler; raises SettingsError if there is none, or no worker."""
        try:
            from distributed import Client
        except ImportError:
            raise SettingsError(
                "the executor dask needs dask.distributed; type: pip install 'lesionbench[dask]'"
            ) from None
        if self.scheduler is None:
            raise SettingsError(
                "the executor dask needs the address of a scheduler",
                Try("add {scheduler}", scheduler="tcp://127.0.0.1:8786"),
            )
        try:
            client: Any = Client(self.scheduler, timeout="10s")  # type: ignore[no-untyped-call]  # dask is not typed
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"no dask scheduler answers at {self.scheduler!r} ({error})",
                Try("give the address of one that runs: {scheduler}"),
            ) from None
        with client:
            if not client.nthreads():
                raise SettingsError(
                    f"the dask scheduler at {self.scheduler!r} has no workers; start one: dask worker {self.scheduler}"
                )
            yield client
