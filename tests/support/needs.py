"""What some tests need besides Python and its libraries.

Where it is missing, a test is skipped by name. In continuous integration (``CI`` is set) it fails, unless the run says
what it leaves out: ``ERRANALYTICS_TESTS_WITHOUT="chromium shared"``. ``python tests/support/needs.py`` prints what this
machine lacks, in the form of that variable.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

WITHOUT = "ERRANALYTICS_TESTS_WITHOUT"
SHARED = Path(__file__).resolve().parents[3] / "shared"
_SYSTEMD = os.pathsep.join((os.environ.get("PATH", ""), "/lib/systemd", "/usr/lib/systemd"))


def chromium() -> str | None:
    """The browser, under any of its names."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def journal_remote() -> str | None:
    """The program that writes journals, which stands beside those of systemd."""
    return shutil.which("systemd-journal-remote", path=_SYSTEMD)


# Name: what it is and where it comes from, and whether it is there.
NEEDS: dict[str, tuple[str, Callable[[], bool]]] = {
    "chromium": ("Chromium (Debian: apt-get install chromium)", lambda: chromium() is not None),
    "journalctl": (
        "journalctl and systemd-journal-remote (Debian: apt-get install systemd-journal-remote)",
        lambda: shutil.which("journalctl") is not None and journal_remote() is not None,
    ),
    "shared": (
        "the reference folder ../shared, which is not part of the repository",
        (SHARED / "corpus").is_dir,
    ),
}


def left_out() -> set[str]:
    """What this run leaves out; a name that nothing has is a ``ValueError``."""
    named = set(os.environ.get(WITHOUT, "").replace(",", " ").split())
    if unknown := sorted(named - NEEDS.keys()):
        raise ValueError(f"{WITHOUT} names {', '.join(unknown)}; there are {', '.join(NEEDS)}")
    return named


def needs(name: str) -> None:
    """Go on where it is there; else skip the test, or fail it in continuous integration."""
    import pytest  # the list of what is missing is printed before there is a venv

    text, is_there = NEEDS[name]
    if name in left_out():
        pytest.skip(f"left out by {WITHOUT}: {text}")
    if is_there():
        return
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        pytest.fail(f'needs {text}; a run without it says so: {WITHOUT}="{name}"', pytrace=False)
    pytest.skip(f"needs {text}")


if __name__ == "__main__":
    print(*(name for name, (_, is_there) in NEEDS.items() if not is_there()))  # noqa: T201 - .ci/run reads it
