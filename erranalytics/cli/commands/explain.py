"""Commands that need no store: explain, classify."""

from __future__ import annotations

import sys

import click

from erranalytics.cli import completion
from erranalytics.cli.diagnostics import ExitCode
from erranalytics.cli.options import (
    guarded,
    rules_option,
    wrapper_option,
)


@click.command(short_help="What a code, status or error text means, and what to do.")
@click.argument("text", nargs=-1, required=True, metavar="CODE|TEXT|-", shell_complete=completion.codes)
@rules_option
@click.option(
    "--ollama-version",
    metavar="VERSION",
    help="The version of Ollama in use, for settings that it lacks; a log states it itself.",
)
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@guarded
def explain(text: tuple[str, ...], rules_dir: tuple[str, ...], ollama_version: str | None, form: str) -> int:
    """Explain what a code, a status or an error text means, what to do, and which rule says so.

    It needs no store. For a piece of a log it explains the worst incident and names the others.

    \b
    erranalytics explain MEM014
    erranalytics explain 503
    erranalytics explain 'llama runner process has terminated: signal: killed'
    journalctl -u ollama -n 40 | erranalytics explain -
    """
    from erranalytics import api
    from erranalytics.output import render

    query = sys.stdin.read() if text == ("-",) else " ".join(text)
    explanation = api.explain(query, rules_dir=rules_dir, ollama_version=ollama_version)
    if form == "json":
        render.write_json(explanation.as_dict(), out=sys.stdout.buffer)
    else:
        render.write_lines(explanation.lines(width=render.terminal_width(None) or 80), out=sys.stdout.buffer)
    return ExitCode.DONE


@click.command()
@click.argument("path", default="-", metavar="[PATH|-]", shell_complete=completion.files)
@rules_option
@wrapper_option
@guarded
def classify(path: str, rules_dir: tuple[str, ...], wrapper: str | None) -> int:
    """Print one JSON object per event, with its cause; needs no store.

    Events of one failure share the number under incident. Without a path it reads standard input.

    \b
    erranalytics classify server.log | jq 'select(.is_error)'
    journalctl -u ollama -o json | erranalytics classify
    """
    from erranalytics import api
    from erranalytics.ingestion.inputs import open_input
    from erranalytics.output import render
    from erranalytics.sources.files import discard

    source = open_input(path)
    try:
        for frame in api.classify_source(source, rules_dir=rules_dir, wrapper=wrapper):
            render.write_frame(frame, out=sys.stdout.buffer)
    finally:
        discard(source)
    return ExitCode.DONE
