"""Anonymous names: patients, scans and lesions as salted hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Literal

DIGITS = 16  # 64 bits: two of a million patients share a hash with probability 3e-8


@dataclass(frozen=True)
class Secret:
    """A key that is never written to disk; by default a random one, so that hashes cannot be computed again."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @classmethod
    def of(cls, salt: str | None) -> Secret:
        """The key made from `--salt`, or a random one."""
        return cls() if salt is None else cls(salt.encode("utf-8"))

    def hash(self, kind: Literal["patient", "series", "lesion"], *parts: str) -> str:
        """The kind's initial and 16 hexadecimal digits; equal parts of one kind give equal hashes."""
        message = "\x00".join((kind, *parts)).encode("utf-8", "surrogateescape")
        # With the initial, spreadsheets do not read digits such as 12e4 as a number.
        return kind[0] + hmac.new(self.key, message, hashlib.sha256).hexdigest()[:DIGITS]
