"""Commands that write the store: ingest, reclassify."""

from __future__ import annotations

import sys
from typing import Any

import click

from erranalytics.cli import completion, diagnostics
from erranalytics.cli.diagnostics import ExitCode
from erranalytics.cli.options import (
    db_option,
    deliver,
    guarded,
    rules_option,
    wait_option,
    wrapper_option,
)


@click.command(short_help="Read logs into the store.")
@click.argument("paths", nargs=-1, metavar="[PATH|-]...", shell_complete=completion.files)
@click.option(
    "--journal",
    is_flag=False,
    flag_value="ollama",
    multiple=True,
    metavar="[UNIT]",
    help="Read the journal of systemd from where the last call ended; UNIT is ollama by default.",
)
@click.option(
    "--journal-directory",
    metavar="DIR",
    shell_complete=completion.files,
    help="A copied journal, such as var/log/journal of another machine.",
)
@db_option
@wait_option
@rules_option
@wrapper_option
@click.option(
    "--host",
    metavar="NAME",
    help="Label of the machine; records under one label are counted once, however they arrive.",
)
@click.option(
    "--tz",
    metavar="ZONE",
    shell_complete=completion.zones,
    help="Zone of stamps without one, where the log gives no evidence.",
)
@click.option("--year", type=click.IntRange(1970, 9999), metavar="YEAR", help="Year of the first stamp without one.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@guarded
def ingest(paths: tuple[str, ...], journal: tuple[str, ...], as_json: bool, **options: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """Read logs into the store: files, folders, globs, - for standard input, the journal.

    Without a path it looks where Ollama logs on this machine. The same bytes again add nothing, a grown file adds only
    what is new, and a record that arrives twice is counted once.

    \b
    erranalytics ingest
    erranalytics ingest --journal
    erranalytics ingest server.log /var/log/ollama --host gpu01
    erranalytics ingest /tmp/ollama-request-logs-477539427
    journalctl -u ollama -o short | erranalytics ingest -
    docker logs ollama 2>&1 | erranalytics ingest -
    """
    from erranalytics import api
    from erranalytics.cli import summary
    from erranalytics.ingestion.inputs import ProgressCallbacks
    from erranalytics.output import render

    if not paths and not journal and not options["journal_directory"]:
        places = api.find_logs()
        diagnostics.note("\n".join(place.summary() for place in places))
        paths = tuple(path for place in places for path in place.paths)
        journal = tuple(place.unit for place in places if place.unit)
    elif options["journal_directory"]:
        journal = journal or ("ollama",)
    with diagnostics.progress() as bar:
        watch = ProgressCallbacks(bar.file, bar.expect, bar.advance, on_fault=diagnostics.error, on_read=bar.read)
        done = api.ingest(paths, journal=journal, watch=watch, on_wait=diagnostics.note, **options)
    for line in summary.ingest_lines(done):
        diagnostics.note(line)
    if as_json:
        render.write_json(done.as_dict(), out=sys.stdout.buffer)
    return ExitCode.INPUT if done.faults else ExitCode.DONE


@click.command(short_help="Apply the current rules to stored events.")
@db_option
@wait_option
@rules_option
@click.option("-f", "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@guarded
def reclassify(db: str | None, wait_s: float, rules_dir: tuple[str, ...], form: str) -> int:
    """Apply the current rules to the events of the store, without the logs, and print the changes by code.

    Use it after an upgrade, or with your own rules.

    \b
    erranalytics reclassify
    erranalytics reclassify --rules my-rules
    """
    from erranalytics import api
    from erranalytics.reports import runner

    done = api.reclassify(db=db, wait_s=wait_s, rules_dir=rules_dir, on_wait=diagnostics.note)
    diagnostics.note(done.summary)
    diagnostics.note(f"store: {api.resolve_db(db)}")
    if form == "json" or not done.changes.is_empty():
        deliver([runner.frame_result("reclassify", done.changes)], form=form, output=None)
    return ExitCode.DONE
