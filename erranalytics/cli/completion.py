"""The completions that a shell offers for TAB, and the script that makes it ask for them.

Names come from the data files, so that TAB loads neither DuckDB nor polars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from erranalytics.cli.diagnostics import PROGRAM

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")
TIMES = ("-1h", "-24h", "-7d", "-30d", "today", "yesterday", "now")
# The keys of render.FORMATS, repeated so that completion and help need not load it.
FORMATS = ("table", "vertical", "json", "jsonl", "csv", "md", "html", "parquet")


def script(command: click.Command, shell: str) -> str:
    """The completion script for a shell to source."""
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    # The method of the base class, because that for bash starts a bash to ask for its version.
    return ShellComplete.source(kind(command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE"))


def files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The paths that the shell itself offers."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def formats(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Output formats."""
    return _offered(dict.fromkeys(FORMATS, ""), incomplete)


def reports(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of reports with their questions, except for parts of other reports."""
    from erranalytics.reports.catalogue import catalogue

    reports = catalogue().values()
    return _offered({report.name: report.header.question for report in reports if not report.header.part}, incomplete)


def parameters(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``NAME=VALUE`` for the own parameters of the reports on the line."""
    from erranalytics.reports.catalogue import catalogue

    named: Sequence[str] = context.params.get("names") or ()
    offered: dict[str, str] = {}
    for report in catalogue().values():
        if report.name in named or not named:
            for name, param in report.header.param.items():
                values = param.choices or ([param.default] if param.default is not None else [""])
                offered |= {f"{name}={value}": param.help for value in values}
    return _offered(offered, incomplete)


def codes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Codes with their meanings, also for lower case."""
    from erranalytics.classification import taxonomy

    return _offered({row["code"]: row["title"] for row in taxonomy.rows()}, incomplete.upper())


def rule_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Rules by ``family/name``."""
    from erranalytics.datafiles import RULES

    names = sorted(path.relative_to(RULES).with_suffix("").as_posix() for path in RULES.glob("*/*.toml"))
    return _offered(dict.fromkeys(names, ""), incomplete)


def times(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Times that are often used."""
    return _offered(dict.fromkeys(TIMES, ""), incomplete)


def buckets(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Widths of a step in time."""
    from erranalytics.reports.catalogue import COMMON

    return _offered(dict.fromkeys(COMMON["bucket"].choices or (), ""), incomplete)


def zones(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of time zones."""
    from zoneinfo import available_timezones

    return _offered(dict.fromkeys(sorted(available_timezones()), ""), incomplete)


def wrappers(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Wrappers of the lines of a log."""
    from erranalytics.wrappers.forms import WRAPPERS

    return _offered({"plain": "as Ollama wrote it"} | {wrapper.name: wrapper.title for wrapper in WRAPPERS}, incomplete)


def _offered(names: Mapping[str, str], incomplete: str) -> list[CompletionItem]:
    """The names that begin with the typed text, with their meanings for shells that show them."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name, help=text or None) for name, text in names.items() if name.startswith(incomplete)]
