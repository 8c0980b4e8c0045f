"""The files under a URL on another machine, whole or not at all; every failure there becomes one error of ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lesionbench.errors import SettingsError, StoreError, Try

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

S3 = ("s3", "s3a")
PAUSES = (1.0, 4.0)  # seconds before a request is made again
IMPATIENT = 60.0  # seconds after a failure in which a request is made once
INSTALL = {"s3": "'lesionbench[s3]'", "s3a": "'lesionbench[s3]'", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
NO_KEYS = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError")  # of botocore, by name


class RemoteFiles:
    """The files under a URL that fsspec understands; names are relative to it, with slashes between."""

    def __init__(self, address: str) -> None:
        """Raise SettingsError unless a library for this protocol is installed; nothing is asked of the server."""
        self.address = address.rstrip("/")
        self._system, self._root = _file_system(self.address)
        self._patient_from = 0.0  # on the monotonic clock

    def names(self, folder: str) -> set[str]:
        """The names of the files and folders in a folder; none if it does not exist."""
        self._system.invalidate_cache()
        found = self._ask(lambda: self._system.ls(self._path(folder), detail=False))
        return {path.rstrip("/").rpartition("/")[2] for path in found or ()}

    def has(self, name: str) -> bool:
        """Whether there is a file."""
        self._system.invalidate_cache()
        return bool(self._ask(lambda: self._system.exists(self._path(name))))

    def get(self, name: str, into: Path) -> bool:
        """Copy a file into one on this machine; False if there is none."""
        return self._ask(lambda: self._system.get_file(self._path(name), str(into)) or True) is not None

    def text(self, name: str) -> str:
        """The content of a small file; empty if there is none."""
        return (self._ask(lambda: self._system.cat_file(self._path(name))) or b"").decode("utf-8", "replace")

    def put(self, name: str, file: Path) -> bool:
        """Copy a file of this machine there; False if there is one already, which stays."""
        try:
            done = self._ask(lambda: self._put(file, self._path(name)))
        except FileExistsError:
            return False
        if done is None:
            raise self._missing()
        return True

    def replace(self, name: str, file: Path) -> None:
        """Copy a file of this machine there, in the place of one that may be there."""
        self._ask(lambda: self._system.put_file(str(file), self._path(name)))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._ask(lambda: self._system.rm_file(self._path(name)))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _put(self, file: Path, path: str) -> bool:
        """Make the file; True. A server that knows conditional requests refuses to replace one."""
        try:
            self._system.put_file(str(file), path, mode="create")
        except OSError as error:
            if not _lacks_conditions(error):
                raise
            self._system.put_file(str(file), path)
        return True

    def _ask(self, request: Callable[[], Any]) -> Any:
        """What the server answers; None if it has no such file.

        Raises StoreError if it refuses, or does not answer several times; FileExistsError passes through.
        """
        for pause in (*(PAUSES if time.monotonic() > self._patient_from else ()), None):
            try:
                return request()
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise self._missing() from None
                return None
            except FileExistsError:
                raise
            except Exception as error:  # every library of fsspec has errors of its own
                self._refuse_denied(error)
                if pause is None:
                    self._patient_from = time.monotonic() + IMPATIENT
                    words = f"the store {self.address} does not answer ({_one_line(error)})"
                    raise StoreError(words, *self._advice()) from error
                time.sleep(pause)
        raise AssertionError

    def _advice(self) -> list[Try]:
        s3 = self.address.partition("://")[0] in S3
        return [Try("check the network and AWS_ENDPOINT_URL, which names a server other than Amazon's")] if s3 else []

    def _missing(self) -> StoreError:
        return StoreError(f"there is no bucket for the store {self.address}; make it, or correct its name")

    def _refuse_denied(self, error: Exception) -> None:
        if type(error).__name__ in NO_KEYS:
            raise StoreError(
                f"the store {self.address} needs access keys, and none were found; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            ) from None
        if isinstance(error, PermissionError):
            raise StoreError(f"the store {self.address} denies access ({_one_line(error)})") from None


def _file_system(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it; raises SettingsError if no library can open it."""
    protocol = address.partition("://")[0]
    _refuse_password(address)
    try:
        from fsspec import get_filesystem_class
        from fsspec.core import url_to_fs

        get_filesystem_class(protocol)
    except ValueError:
        raise SettingsError(
            f"a store is a folder or a URL such as s3://bucket/path, and {protocol!r} is no protocol that fsspec knows",
            Try("name another {store}"),
        ) from None
    except ImportError:
        package = INSTALL.get(protocol, f"'fsspec[{protocol}]'")
        raise SettingsError(f"a store at {address} needs a library; type: pip install {package}") from None
    system, root = url_to_fs(address, **_settings(protocol))
    return system, root.rstrip("/")


def _refuse_password(address: str) -> None:
    try:
        password = urlsplit(address).password
    except ValueError as error:
        raise SettingsError(f"{address!r} is no address ({error})", Try("name another {store}")) from None
    if password is not None:
        raise SettingsError(
            "the address of a store is written into experiment.toml, so it must not contain a password; give that "
            "through the environment or the configuration of fsspec"
        )


def _settings(protocol: str) -> dict[str, Any]:
    """One try of ten seconds for each request, because this module repeats requests itself."""
    if protocol not in S3:
        return {}
    return {"config_kwargs": {"connect_timeout": 10, "retries": {"total_max_attempts": 1}}}


def _code(error: Exception) -> str:
    """The server's own word for an error, where the library keeps it."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _lacks_conditions(error: OSError) -> bool:
    """Whether the server does not know conditional requests."""
    return _code(error) in {"NotImplemented", "501"}


def _one_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
