"""The command line: each command parses, calls one function of ``api`` or ``reports``, hands over to ``render``."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from erranalytics import __version__, diagnostics
from erranalytics.diagnostics import ExitCode
from erranalytics.errors import ErranalyticsError

GARBAGE_OBJECTS = 200_000
EPILOG = "Exit codes:\n\n\b\n" + diagnostics.describe_exit_codes()

db_option = click.option(
    "--db",
    envvar="ERRANALYTICS_DB",
    metavar="FILE",
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
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder with further rules; may be given more than once.",
)
output_option = click.option("-o", "--output", metavar="FILE", help="Write to FILE instead of standard output.")


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
            diagnostics.note("interrupted; what was not complete is not in the store")
            sys.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output (head, less) has what it wants.
            sys.stderr.close()
            sys.exit(ExitCode.DONE)
        sys.exit(code or ExitCode.DONE)

    return run


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="erranalytics")
def main() -> None:
    """Why does Ollama fail? Ingest its logs, ask for reports.

    \b
    erranalytics ingest
    erranalytics report
    erranalytics explain 'cudaMalloc failed: out of memory'
    """
    # The rules live until the end of the process: looking through them for garbage all the time costs a twentieth.
    gc.set_threshold(GARBAGE_OBJECTS)


@main.command()
@click.argument("paths", nargs=-1, metavar="[PATH|-]...")
@click.option(
    "--journal",
    is_flag=False,
    flag_value="ollama",
    multiple=True,
    metavar="[UNIT]",
    help="Read the journal of systemd from where the last call ended; UNIT is ollama unless named.",
)
@click.option(
    "--journal-directory", metavar="DIR", help="A copied journal, such as var/log/journal of another machine."
)
@db_option
@wait_option
@rules_option
@click.option("--format", "wrapper", metavar="NAME", help="What stands around the lines, instead of detecting it.")
@click.option(
    "--host",
    metavar="NAME",
    help="Label of the machine: records under one label are counted once, however they arrive.",
)
@click.option("--tz", metavar="ZONE", help="Zone of stamps that name none, where the log holds no evidence.")
@click.option(
    "--year", type=click.IntRange(1970, 9999), metavar="YEAR", help="Year of the first stamp that names none."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@guarded
def ingest(paths: tuple[str, ...], journal: tuple[str, ...], as_json: bool, **options: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """Read logs into the store: files, folders, globs, - for standard input, the journal.

    Without a path it looks where Ollama logs on this machine. The same bytes again add nothing, a grown file adds its
    tail, and a record that arrives in two ways is counted once.

    \b
    erranalytics ingest
    erranalytics ingest --journal
    erranalytics ingest server.log /var/log/ollama --host gpu01
    erranalytics ingest /tmp/ollama-request-logs-477539427
    journalctl -u ollama -o short | erranalytics ingest -
    docker logs ollama 2>&1 | erranalytics ingest -
    """
    from erranalytics import api, intake, render, summary

    if not paths and not journal and not options["journal_directory"]:
        found = api.find_logs()
        diagnostics.note("\n".join(place.told() for place in found))
        paths = tuple(path for place in found for path in place.paths)
        journal = tuple(place.unit for place in found if place.unit)
    elif options["journal_directory"]:
        journal = journal or ("ollama",)
    with diagnostics.progress() as bar:
        watch = intake.Watch(bar.file, bar.expect, bar.advance, on_fault=diagnostics.error, on_read=bar.read)
        done = api.ingest(paths, journal=journal, watch=watch, on_wait=diagnostics.note, **options)
    for line in summary.ingest_lines(done):
        diagnostics.note(line)
    if as_json:
        render.write_json(done.as_dict(), out=sys.stdout.buffer)
    return ExitCode.INPUT if done.faults else ExitCode.DONE


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@db_option
@wait_option
@output_option
@click.option("-f", "--format", "form", default="table", metavar="FORMAT", help="table, json, jsonl, csv or md.")
@click.option("--list", "as_list", is_flag=True, help="All reports with their questions, parameters and columns.")
@click.option("--since", metavar="TIME", help="From this time on: 2026-11-20, 2026-11-20T08:00, -24h, -7d.")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--host", metavar="NAME", help="Only this host.")
@click.option("--model", metavar="NAME", help="Only this model.")
@click.option("--endpoint", metavar="PATH", help="Only this route.")
@click.option("--code", metavar="CODE", help="Only this code.")
@click.option("--bucket", metavar="UNIT", help="hour, day or week.")
@click.option("--tz", metavar="ZONE", help="Zone in which times are shown and days begin.")
@click.option("--min-count", "min_count", metavar="N", help="Below this a rate is not judged.")
@click.option("--param", "extra", multiple=True, metavar="NAME=VALUE", help="Any other parameter of the report.")
@click.option(
    "--fail-on",
    metavar="EXPR",
    help="Exit 1 when it holds: severity>=error, code=MEM014, incidents>=5, failure_rate>0.05.",
)
@guarded
def report(
    names: tuple[str, ...],
    db: str | None,
    wait_s: float,
    form: str,
    output: str | None,
    as_list: bool,  # noqa: FBT001 - click passes flags by name
    fail_on: str | None,
    **chosen: Any,
) -> int:
    """Answer questions from the store; without a name, the overview.

    \b
    erranalytics report
    erranalytics report error-frequency --since -7d -f csv
    erranalytics report streaming-failures --fail-on 'failure_rate>0.05'
    """
    from erranalytics import api, catalogue, render, reports

    if as_list:
        with render.opened(output) as out:
            render.write_catalogue(catalogue.describe(), format=form, out=out)
        return ExitCode.DONE
    params = reports.parameters(chosen)
    for name in names:
        catalogue.find(name)
    connection = api.connect(db, wait_s=wait_s, on_wait=diagnostics.note)
    results = reports.answer(names, connection=connection, params=params)
    diagnostics.note(f"store: {api.resolve_db(db)}")
    with render.opened(output) as out:
        render.write(
            results,
            format=form,
            out=out,
            color=output is None and diagnostics.wants_color(sys.stdout),
            width=render.terminal_width(output),
        )
    return (
        ExitCode.FINDINGS if fail_on and reports.gate(fail_on, connection=connection, params=params) else ExitCode.DONE
    )


@main.command()
@click.argument("text", nargs=-1, required=True, metavar="CODE|TEXT|-")
@rules_option
@click.option(
    "--ollama-version", metavar="VERSION", help="The Ollama at hand, for settings it lacks; a log tells it itself."
)
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@guarded
def explain(text: tuple[str, ...], rules_dir: tuple[Path, ...], ollama_version: str | None, form: str) -> int:
    """What a code, a status or an error text means, what to do, and why this rule says so.

    \b
    erranalytics explain MEM014
    erranalytics explain 503
    erranalytics explain 'llama runner process has terminated: signal: killed'
    journalctl -u ollama -n 40 | erranalytics explain -
    """
    from erranalytics import api, render

    query = sys.stdin.read() if text == ("-",) else " ".join(text)
    found = api.explain(query, rules_dir=rules_dir, ollama_version=ollama_version)
    if form == "json":
        render.write_json(found.as_dict(), out=sys.stdout.buffer)
    else:
        render.write_lines(found.lines(width=render.terminal_width(None) or 80), out=sys.stdout.buffer)
    return ExitCode.DONE


@main.command()
@click.argument("path", default="-", metavar="[PATH|-]")
@rules_option
@click.option("--format", "wrapper", metavar="NAME", help="What stands around the lines, instead of detecting it.")
@guarded
def classify(path: str, rules_dir: tuple[Path, ...], wrapper: str | None) -> int:
    """One JSON object per event, with its cause; needs no store.

    \b
    erranalytics classify server.log | jq 'select(.is_error)'
    """
    from erranalytics import api, intake, render, sources

    source = intake.opened(path)
    try:
        for frame in api.classify_source(source, rules_dir=rules_dir, wrapper=wrapper):
            render.write_frame(frame, out=sys.stdout.buffer)
    finally:
        sources.discard(source)
    return ExitCode.DONE


@main.command()
@click.argument("query")
@db_option
@wait_option
@output_option
@click.option("-f", "--format", "form", default="table", metavar="FORMAT", help="table, json, jsonl, csv or md.")
@guarded
def sql(query: str, db: str | None, wait_s: float, form: str, output: str | None) -> int:
    """Ask the store in SQL, read-only.

    \b
    erranalytics sql 'select code, count(*) as n from errors group by code order by n desc'
    """
    from erranalytics import api, render, reports

    connection = api.connect(db, wait_s=wait_s, on_wait=diagnostics.note)
    result = reports.ask(query, connection=connection)
    with render.opened(output) as out:
        render.write(
            [result],
            format=form,
            out=out,
            color=output is None and diagnostics.wants_color(sys.stdout),
            width=render.terminal_width(output),
        )
    return ExitCode.DONE


@main.command()
@db_option
@wait_option
@rules_option
@click.option("-f", "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@guarded
def reclassify(db: str | None, wait_s: float, rules_dir: tuple[Path, ...], form: str) -> int:
    """Judge the events of the store by the rules of now, without the logs; says what changed by code.

    \b
    erranalytics reclassify
    erranalytics reclassify --rules my-rules
    """
    from erranalytics import api, render, reports

    done = api.reclassify(db=db, wait_s=wait_s, rules_dir=rules_dir, on_wait=diagnostics.note)
    diagnostics.note(done.told)
    diagnostics.note(f"store: {api.resolve_db(db)}")
    if form == "json" or not done.changes.is_empty():
        result = reports.frame_result("reclassify", done.changes)
        color = diagnostics.wants_color(sys.stdout)
        render.write([result], format=form, out=sys.stdout.buffer, color=color, width=render.terminal_width(None))
    return ExitCode.DONE


@main.group()
def rules() -> None:
    """The rulebook and its proof."""


@rules.command("list")
@rules_option
@click.option("-f", "--format", "form", default="table", metavar="FORMAT", help="table, json, jsonl, csv or md.")
@guarded
def rules_list(rules_dir: tuple[Path, ...], form: str) -> int:
    """All rules in the order they are tried."""
    from erranalytics import render, reports, rulebook

    result = reports.rules_result(rulebook.load(rules_dir))
    render.write(
        [result],
        format=form,
        out=sys.stdout.buffer,
        color=diagnostics.wants_color(sys.stdout),
        width=render.terminal_width(None),
    )
    return ExitCode.DONE


@rules.command("show")
@click.argument("name")
@rules_option
@guarded
def rules_show(name: str, rules_dir: tuple[Path, ...]) -> int:
    """One rule with its pattern, examples and references."""
    from erranalytics import render, rulebook

    render.write_json(rulebook.load(rules_dir).find(name).model_dump(mode="json"), out=sys.stdout.buffer)
    return ExitCode.DONE


@rules.command("check")
@rules_option
@guarded
def rules_check(rules_dir: tuple[Path, ...]) -> int:
    """Prove every rule by its examples and counterexamples, every line format by its samples."""
    from erranalytics import calls, lineformats, proof, rulebook
    from erranalytics.errors import RuleError

    book, formats = rulebook.load(rules_dir), lineformats.load()
    faults = [*proof.check(book), *lineformats.check(formats), *calls.check()]
    if faults:
        raise RuleError.from_faults(faults, hint="The recipe to add a rule is in CONTRIBUTING.md.")
    diagnostics.note(f"{len(book.rules)} rules and {len(formats.formats)} line formats prove themselves")
    return ExitCode.DONE


@rules.command("suggest")
@click.argument("text", nargs=-1, metavar="[TEXT|-]")
@click.option("--fingerprint", metavar="HASH", help="A message of the store instead, see report unknown-errors.")
@db_option
@rules_option
@guarded
def rules_suggest(text: tuple[str, ...], fingerprint: str | None, db: str | None, rules_dir: tuple[Path, ...]) -> int:
    """Draft the file of a rule for a text that no rule knows.

    \b
    erranalytics rules suggest 'the line' > rules/runner/the-symptom.toml
    """
    from erranalytics import api, render

    query = sys.stdin.read() if text == ("-",) else " ".join(text)
    draft = api.suggest_rule(query, fingerprint=fingerprint, db=db, rules_dir=rules_dir)
    if draft.known:
        diagnostics.note(draft.told)
    else:
        render.write_lines(draft.lines(), out=sys.stdout.buffer)
    return ExitCode.DONE


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARGUMENT]...")
@click.option(
    "-o", "--output", metavar="FILE", help="The file of records (default: ERRANALYTICS_CALLS or calls.jsonl)."
)
@click.option("--app", metavar="NAME", help="Name of the program in its records.")
@guarded
def record(command: tuple[str, ...], output: str | None, app: str | None) -> int:
    """Run a Python program with the recorder on: one line of JSON for each call it makes to a model.

    Nothing of the program changes; it ends with its own exit code. Says what could not be watched, and why.

    \b
    erranalytics record -- python app.py
    erranalytics record -o calls.jsonl --app shop -- uvicorn shop:app
    """
    from erranalytics import recording

    done = recording.run(command, path=output, app=app)
    for line in done.lines():
        diagnostics.note(line)
    return done.exit_code


@main.command()
@click.argument("paths", nargs=-1, metavar="[FILE]...")
@db_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@guarded
def doctor(paths: tuple[str, ...], db: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Versions, store, schema, rulebook, and what would be detected in FILEs."""
    from erranalytics import api, render, summary

    facts = api.diagnose(paths, db=db)
    if as_json:
        render.write_json(facts, out=sys.stdout.buffer)
    else:
        render.write_lines(summary.fact_lines(facts), out=sys.stdout.buffer)
    return ExitCode.USAGE if facts["rulebook_faults"] or facts["format_faults"] else ExitCode.DONE
