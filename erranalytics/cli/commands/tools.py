"""Commands that support the others: record, doctor, completion."""

from __future__ import annotations

import sys

import click

from erranalytics.cli import completion, diagnostics
from erranalytics.cli.diagnostics import ExitCode
from erranalytics.cli.options import (
    db_option,
    guarded,
)


@click.command(
    short_help="Run a Python program with the recorder on.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARGUMENT]...")
@click.option(
    *("-o", "--output"),
    metavar="FILE",
    shell_complete=completion.files,
    help="The file of records (default: ERRANALYTICS_CALLS or calls.jsonl).",
)
@click.option("--app", metavar="NAME", help="Name of the program in its records.")
@guarded
def record(command: tuple[str, ...], output: str | None, app: str | None) -> int:
    """Run a Python program with the recorder on, which writes one line of JSON for each call to a model.

    The program behaves as before and ends with its own exit code. The command says what could not be recorded, and why.

    \b
    erranalytics record -- python app.py
    erranalytics record -o calls.jsonl --app shop -- uvicorn shop:app
    """
    from erranalytics.calls.command import run

    done = run(command, path=output, app=app)
    for line in done.lines():
        diagnostics.note(line)
    return done.exit_code


@click.command()
@click.argument("paths", nargs=-1, metavar="[FILE]...", shell_complete=completion.files)
@db_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@guarded
def doctor(paths: tuple[str, ...], db: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Show versions, store, schema, rulebook, and what would be detected in FILEs.

    \b
    erranalytics doctor
    erranalytics doctor server.log --json
    """
    from erranalytics.cli import summary
    from erranalytics.doctor import diagnose
    from erranalytics.output import render

    facts = diagnose(paths, db=db)
    if as_json:
        render.write_json(facts, out=sys.stdout.buffer)
    else:
        render.write_lines(summary.fact_lines(facts), out=sys.stdout.buffer)
    return ExitCode.USAGE if facts["rulebook_faults"] or facts["format_faults"] else ExitCode.DONE


@click.command(name="completion", short_help="Print a completion script for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(completion.SHELLS), metavar="bash|zsh|fish")
@guarded
def completion_script(shell: str) -> int:
    """Print the script that makes a shell complete commands, reports, formats, codes and parameters.

    \b
    eval "$(erranalytics completion bash)"
    eval "$(erranalytics completion zsh)"
    erranalytics completion fish > ~/.config/fish/completions/erranalytics.fish

    The first line belongs in ~/.bashrc, the second in ~/.zshrc after compinit.
    """
    from erranalytics.output import render

    render.write_text(completion.script(click.get_current_context().find_root().command, shell), out=sys.stdout.buffer)
    return ExitCode.DONE
