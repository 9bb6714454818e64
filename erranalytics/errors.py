"""The error tree: every mistake that a user can make has a class, a message, a location and a next step.

::

    ErranalyticsError
    ├── UsageError          an argument or option is wrong                exit 2
    ├── DataFileError       a data file of the package or of the user     exit 2
    │   ├── RuleError       rules/**/*.toml
    │   ├── FormatError     formats/*.toml
    │   └── ReportError     queries/*.sql
    ├── InputError          an input cannot be read                       exit 3
    └── StoreError          the DuckDB file cannot be used                exit 4
        └── StoreLockedError  another process holds it
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class ErranalyticsError(Exception):
    """Base of every error that is shown to a user without a traceback.

    Args:
        message: one sentence that says what is wrong.
        hint: the next step, in one or more lines.
        location: ``path``, ``path:line`` or ``path:line:column``.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, location: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location

    def __str__(self) -> str:
        place = f"{self.location}: " if self.location else ""
        return place + self.message


class UsageError(ErranalyticsError):
    """The call itself is wrong: an unknown report, a bad time, a bad option value."""

    exit_code = 2


class DataFileError(ErranalyticsError):
    """A rule, format or report file is wrong; the message holds all its faults, one per line."""

    exit_code = 2

    @classmethod
    def from_faults(cls, faults: Iterable[str], *, hint: str | None = None) -> Self:
        """Join the faults (``path:line: sentence``) of one or more files into one error."""
        return cls("\n".join(faults), hint=hint)


class RuleError(DataFileError):
    """A file of the rulebook is wrong."""


class FormatError(DataFileError):
    """A file of the line formats is wrong."""


class ReportError(DataFileError):
    """A report file is wrong."""


class InputError(ErranalyticsError):
    """An input cannot be read: missing, not allowed, damaged or not a log."""

    exit_code = 3


class StoreError(ErranalyticsError):
    """The DuckDB file cannot be used: it is not a store, has a newer schema, or there is no room."""

    exit_code = 4


class StoreLockedError(StoreError):
    """Another process has the store open for writing."""


def nearest(word: str, words: Iterable[str]) -> str:
    """The valid word that is nearest to a wrong one; empty when none is near."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(words), n=1, cutoff=0.5)), "")


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the end of a message; empty when no valid word is near."""
    near = nearest(word, words)
    return f", did you mean {near!r}?" if near else ""
