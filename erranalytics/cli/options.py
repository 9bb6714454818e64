"""What commands share: options, the delivery of results, and the end of a command."""

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
    help="How long to wait for a store that another process writes.",
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
    shell_complete=completion.formats,
    help=f"One of {', '.join(completion.FORMATS)}.",
)
wrapper_option = click.option(
    *("--format", "wrapper"),
    metavar="NAME",
    shell_complete=completion.wrappers,
    help="The wrapper of the lines, instead of detecting it.",
)


def timeout_option(seconds: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option for how long the answer may take; each command has its own default."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0),
        default=seconds,
        show_default=True,
        metavar="SECONDS",
        help="Give up if there is no answer by then; 0 waits without a limit.",
    )


def deliver(results: Sequence[Result], *, form: str, output: str | None) -> None:
    """Write results to a file or standard output, coloured and wrapped on a terminal only."""
    from erranalytics.output import render

    color = output is None and diagnostics.wants_color(sys.stdout)
    with render.opened(output) as out:
        render.write(results, format=form, out=out, color=color, width=render.terminal_width(output))


def guarded(command: Callable[..., int | None]) -> Callable[..., None]:
    """Turn errors into sentences and exit codes, so that a user's mistake shows no traceback."""

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
            # The reader of the output, such as head or less, has ended.
            sys.stderr.close()
            sys.exit(ExitCode.DONE)
        sys.exit(code or ExitCode.DONE)

    return run
