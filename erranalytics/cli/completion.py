"""What a shell offers when TAB is pressed, and the script that makes it ask.

Names come from the files themselves: neither DuckDB nor polars is loaded for a key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")
TIMES = ("-1h", "-24h", "-7d", "-30d", "today", "yesterday", "now")
PROGRAM = "erranalytics"
# The keys of render.FORMATS, which need not be loaded for a key or for help.
FORMS = ("table", "vertical", "json", "jsonl", "csv", "md", "html", "parquet")


def script(command: click.Command, shell: str) -> str:
    """The completion of a shell, to be sourced by it."""
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    # Of the base class: that of bash starts a bash to ask for its version.
    return ShellComplete.source(kind(command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE"))


def files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the shell itself offers for a path."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def forms(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Output formats."""
    return _offered(dict.fromkeys(FORMS, ""), incomplete)


def reports(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of reports with their questions; a part of another one is not offered."""
    from erranalytics.reports.catalogue import catalogue

    found = catalogue().values()
    return _offered({one.name: one.header.question for one in found if not one.header.part}, incomplete)


def parameters(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``NAME=VALUE`` for the parameters that the reports on the line have on their own."""
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
    """Codes with what they mean, in upper or lower case."""
    from erranalytics.classification import taxonomy

    return _offered({row["code"]: row["title"] for row in taxonomy.rows()}, incomplete.upper())


def rule_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Rules by ``family/name``."""
    from erranalytics.datafiles import RULES

    names = sorted(path.relative_to(RULES).with_suffix("").as_posix() for path in RULES.glob("*/*.toml"))
    return _offered(dict.fromkeys(names, ""), incomplete)


def times(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Moments that are asked for often."""
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
    """What may stand around the lines of a log."""
    from erranalytics.wrappers.forms import LAYERS

    return _offered({"plain": "as Ollama wrote it"} | {one.name: one.title for one in LAYERS}, incomplete)


def _offered(names: Mapping[str, str], incomplete: str) -> list[CompletionItem]:
    """Those that begin with what is typed, with their meanings where a shell shows any."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name, help=told or None) for name, told in names.items() if name.startswith(incomplete)]
