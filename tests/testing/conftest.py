from __future__ import annotations

import pytest

from lesionbench.testing import Skipped, checks_for

SLOW = "check_importing_it_loads_nothing_heavy"  # starts a process; tested on its own


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """The names of the checks that a class does not pass."""
    monkeypatch.chdir(tmp_path)  # some broken plugins write into the current folder

    def names(kind, plugin_class, root=None, order=iter):
        failed = set()
        for check in order(checks_for(kind, root)):
            try:
                if check.__name__ != SLOW:
                    check(plugin_class)
            except Skipped:
                pass
            except Exception:
                failed.add(check.__name__.removeprefix("check_"))
        return failed

    return names
