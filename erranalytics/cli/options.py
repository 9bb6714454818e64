"""What all commands share: options, where results go, and how a command ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from erranalytics.cli import completion, diagnostics
from erranalytics.cli.diagnostics import ExitCode
from erranalytics.errors import ErranalyticsError

if TYPE_CHECKING:
    from erranalytics.reports.runner import Result

db_option = click.option(
    "--db",
    envvar="ERRANALYTICS_DB",
    metavar="FILE",
    shell_complete=completion.files,
    help="The store (default: in your data directory; also ERRANALYTICS_DB).",
)
wait_option = click.option(
    "--wait",
    "wait_s",
    type=float,
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a store another process writes.",
)
rules_option = click.option(
    "--rules",
    "rules_dir",
    multiple=True,
    type=click.Path(),
    metavar="DIR",
    shell_complete=completion.files,
    help="A folder with further rules; may be given more than once.",
)
output_option = click.option(
    *("-o", "--output"),
    metavar="FILE",
    shell_complete=completion.files,
    help="Write to FILE instead of standard output.",
)
form_option = click.option(
    *("-f", "--format", "form"),
    default="table",
    show_default=True,
    metavar="FORMAT",
    shell_complete=completion.forms,
    help=f"One of {', '.join(completion.FORMS)}.",
)
wrapper_option = click.option(
    *("--format", "wrapper"),
    metavar="NAME",
    shell_complete=completion.wrappers,
    help="What stands around the lines, instead of detecting it.",
)


def timeout_option(seconds: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """How long the answer may take, with a default of its own for each command."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0),
        default=seconds,
        show_default=True,
        metavar="SECONDS",
        help="Give up when there is no answer by then; 0 waits as long as it takes.",
    )


def deliver(results: Sequence[Result], *, form: str, output: str | None) -> None:
    """Write results where they were asked for, coloured and folded on a terminal only."""
    from erranalytics.output import render

    color = output is None and diagnostics.wants_color(sys.stdout)
    with render.opened(output) as out:
        render.write(results, format=form, out=out, color=color, width=render.terminal_width(output))


def guarded(command: Callable[..., int | None]) -> Callable[..., None]:
    """Turn errors into sentences and exit codes; a user's mistake shows no traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = command(*args, **kwargs)
        except ErranalyticsError as fault:
            diagnostics.error(fault)
            sys.exit(fault.exit_code)
        except KeyboardInterrupt:
            writes = command.__name__ in ("ingest", "reclassify")
            diagnostics.note("interrupted" + "; what was not complete is not in the store" * writes)
            sys.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output (head, less) has what it wants.
            sys.stderr.close()
            sys.exit(ExitCode.DONE)
        sys.exit(code or ExitCode.DONE)

    return run
