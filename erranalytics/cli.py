"""The command line: each command parses, calls one function of ``api`` or ``reports``, hands over to ``render``."""

from __future__ import annotations

import gc
import sys
from typing import Any

import click

from erranalytics import __version__, completion, diagnostics
from erranalytics.diagnostics import ExitCode
from erranalytics.errors import UsageError
from erranalytics.options import (
    db_option,
    deliver,
    form_option,
    guarded,
    output_option,
    rules_option,
    timeout_option,
    wait_option,
    wrapper_option,
)

GARBAGE_OBJECTS = 200_000
EPILOG = "Exit codes:\n\n\b\n" + diagnostics.describe_exit_codes()


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="erranalytics")
def main() -> None:
    """Why does Ollama fail? Ingest its logs, ask for reports.

    Logs go into one DuckDB file, the store; reports, SQL and notebooks read it. Every command has its own --help.

    \b
    erranalytics ingest
    erranalytics report
    erranalytics report oom-incidents --since -7d
    erranalytics explain 'cudaMalloc failed: out of memory'
    """
    # The rules live until the end of the process: looking through them for garbage all the time costs a twentieth.
    gc.set_threshold(GARBAGE_OBJECTS)


@main.command(short_help="Read logs into the store.")
@click.argument("paths", nargs=-1, metavar="[PATH|-]...", shell_complete=completion.files)
@click.option(
    "--journal",
    is_flag=False,
    flag_value="ollama",
    multiple=True,
    metavar="[UNIT]",
    help="Read the journal of systemd from where the last call ended; UNIT is ollama unless named.",
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
    help="Label of the machine: records under one label are counted once, however they arrive.",
)
@click.option(
    "--tz",
    metavar="ZONE",
    shell_complete=completion.zones,
    help="Zone of stamps that name none, where the log holds no evidence.",
)
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
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.reports)
@db_option
@wait_option
@output_option
@form_option
@click.option(
    "--html",
    metavar="FILE",
    shell_complete=completion.files,
    help="Write one HTML page with charts to FILE, the same as -f html -o FILE.",
)
@click.option("--explain", is_flag=True, help="Show how it is computed, with the numbers: oom-incidents.")
@click.option("--list", "as_list", is_flag=True, help="Reports with their questions, parameters and columns.")
@click.option(
    "--since",
    metavar="TIME",
    shell_complete=completion.times,
    help="From this time on: 2026-11-20, 2026-11-20T08:00, -24h, -7d, today.",
)
@click.option("--until", metavar="TIME", shell_complete=completion.times, help="Before this time.")
@click.option("--host", metavar="NAME", help="Only this host.")
@click.option("--model", metavar="NAME", help="Only this model.")
@click.option("--endpoint", metavar="PATH", help="Only this route, such as /api/chat.")
@click.option("--code", metavar="CODE", shell_complete=completion.codes, help="Only this code, such as MEM014.")
@click.option("--bucket", metavar="UNIT", shell_complete=completion.buckets, help="hour, day or week.")
@click.option(
    "--tz", metavar="ZONE", shell_complete=completion.zones, help="Zone in which times are shown and days begin."
)
@click.option("--min-count", "min_count", metavar="N", help="Below this a rate is not judged.")
@click.option(
    "--param",
    "extra",
    multiple=True,
    metavar="NAME=VALUE",
    shell_complete=completion.parameters,
    help="Any other parameter of the report; may be given more than once.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="EXPR",
    help="Exit 1 when it holds, and say why; may be given more than once. One of severity>=error, code=MEM014, "
    "category=memory, incidents>=5, requests>=5, failure_rate>5%, stream_failure_rate>5% or REPORT.COLUMN>NUMBER.",
)
@timeout_option(300)
@guarded
def report(
    names: tuple[str, ...],
    db: str | None,
    wait_s: float,
    form: str,
    output: str | None,
    html: str | None,
    as_list: bool,  # noqa: FBT001 - click passes flags by name
    explain: bool,  # noqa: FBT001
    fail_on: tuple[str, ...],
    timeout_s: float,
    **chosen: Any,
) -> int:
    """Answer questions from the store; without a name, the overview.

    What a report could not see stands below it. The store is opened for reading only.

    \b
    erranalytics report
    erranalytics report oom-incidents --since -7d
    erranalytics report error-frequency --since 2026-11-20 --tz Europe/Berlin -f csv -o errors.csv
    erranalytics report streaming-failures --param by=model --min-count 50
    erranalytics report --since -7d --html report.html
    erranalytics report --since -1h --fail-on 'severity>=critical' --fail-on 'streaming-failures.rate_upper>2%'
    erranalytics report --list

    A gate of --fail-on compares one number or word. REPORT.COLUMN is looked at in the row of all where the report has
    one, else in every row; rate_upper and rate_lower are the ends of the 95 % interval; shares may be 2%, sizes 8GiB,
    durations 30s. What cannot be judged, such as a rate of fewer than --min-count, is said and does not fail; to fail
    then too, add a gate on the count: streaming-failures.known_count<20.
    """
    from erranalytics import catalogue, render

    if html and (output or form not in ("table", "html")):
        raise UsageError("--html says the form and the file already", hint="Leave out -f and -o, or --html.")
    form, output = ("html", html) if html else (form, output)
    if as_list:
        with render.opened(output) as out:
            render.write_catalogue(catalogue.describe(names), format=form, out=out)
        return ExitCode.DONE
    from erranalytics import api, gates, querying, reports

    params, wanted = reports.parameters(chosen), [gates.parse(text) for text in fail_on]
    render.check_format(form, tables=len(reports.with_parts(names, explain=explain)), output=output)
    connection, limit = api.connect(db, wait_s=wait_s, on_wait=diagnostics.note), querying.Limit(timeout_s)
    ask = reports.for_page if form == "html" else reports.answer
    results = ask(names, connection=connection, params=params, limit=limit, explain=explain)
    diagnostics.note(f"store: {api.resolve_db(db)}")
    deliver(results, form=form, output=output)
    verdicts = [gates.judge(gate, connection=connection, params=params, limit=limit) for gate in wanted]
    for verdict in verdicts:
        diagnostics.verdict(verdict.sentence, failed=verdict.failed)
    return ExitCode.FINDINGS if any(verdict.failed for verdict in verdicts) else ExitCode.DONE


@main.command(short_help="What a code, status or error text means, and what to do.")
@click.argument("text", nargs=-1, required=True, metavar="CODE|TEXT|-", shell_complete=completion.codes)
@rules_option
@click.option(
    "--ollama-version", metavar="VERSION", help="The Ollama at hand, for settings it lacks; a log tells it itself."
)
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@guarded
def explain(text: tuple[str, ...], rules_dir: tuple[str, ...], ollama_version: str | None, form: str) -> int:
    """What a code, a status or an error text means, what to do, and why this rule says so.

    Needs no store. Of a piece of a log it explains the worst incident and names the others.

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
@click.argument("path", default="-", metavar="[PATH|-]", shell_complete=completion.files)
@rules_option
@wrapper_option
@guarded
def classify(path: str, rules_dir: tuple[str, ...], wrapper: str | None) -> int:
    """One JSON object per event, with its cause; needs no store.

    Events of one failure share the number under incident. Without a path it reads standard input.

    \b
    erranalytics classify server.log | jq 'select(.is_error)'
    journalctl -u ollama -o json | erranalytics classify
    """
    from erranalytics import api, intake, render, sources

    source = intake.opened(path)
    try:
        for frame in api.classify_source(source, rules_dir=rules_dir, wrapper=wrapper):
            render.write_frame(frame, out=sys.stdout.buffer)
    finally:
        sources.discard(source)
    return ExitCode.DONE


@main.command(short_help="Ask the store in SQL; it is only read.")
@click.argument("query", metavar="QUERY|-")
@db_option
@wait_option
@output_option
@form_option
@timeout_option(60)
@guarded
def sql(query: str, db: str | None, wait_s: float, form: str, output: str | None, timeout_s: float) -> int:
    """Ask the store in SQL, as DuckDB speaks it; - reads the query from standard input.

    One query that reads; it sees this store and no other file. Tables and columns have comments, times are UTC.

    \b
    erranalytics sql 'show tables'
    erranalytics sql 'select column_name, comment from duckdb_columns() where table_name = $$incidents$$'
    erranalytics sql 'select code, count(*) as n from incidents group by code order by n desc'
    erranalytics sql 'select * from requests where status >= 500' -f parquet -o failed.parquet
    erranalytics sql - < query.sql
    """
    from erranalytics import api, render, reports
    from erranalytics.querying import Limit

    text = sys.stdin.read() if query == "-" else query
    render.check_format(form, output=output)
    connection = api.connect(db, wait_s=wait_s, on_wait=diagnostics.note)
    deliver([reports.ask(text, connection=connection, limit=Limit(timeout_s))], form=form, output=output)
    return ExitCode.DONE


@main.command(short_help="Judge stored events by the rules of now.")
@db_option
@wait_option
@rules_option
@click.option("-f", "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@guarded
def reclassify(db: str | None, wait_s: float, rules_dir: tuple[str, ...], form: str) -> int:
    """Judge the events of the store by the rules of now, without the logs; says what changed by code.

    After an upgrade, or with rules of your own.

    \b
    erranalytics reclassify
    erranalytics reclassify --rules my-rules
    """
    from erranalytics import api, reports

    done = api.reclassify(db=db, wait_s=wait_s, rules_dir=rules_dir, on_wait=diagnostics.note)
    diagnostics.note(done.told)
    diagnostics.note(f"store: {api.resolve_db(db)}")
    if form == "json" or not done.changes.is_empty():
        deliver([reports.frame_result("reclassify", done.changes)], form=form, output=None)
    return ExitCode.DONE


@main.group()
def rules() -> None:
    """The rulebook and its proof.

    \b
    erranalytics rules list
    erranalytics rules show memory/cuda-buffer-of-size
    erranalytics rules check --rules my-rules
    """


@rules.command("list")
@rules_option
@form_option
@guarded
def rules_list(rules_dir: tuple[str, ...], form: str) -> int:
    """All rules in the order they are tried.

    \b
    erranalytics rules list
    erranalytics rules list -f csv | grep MEM
    """
    from erranalytics import render, reports, rulebook

    render.check_format(form)
    deliver([reports.rules_result(rulebook.load(rules_dir))], form=form, output=None)
    return ExitCode.DONE


@rules.command("show")
@click.argument("name", metavar="FAMILY/NAME", shell_complete=completion.rule_names)
@rules_option
@guarded
def rules_show(name: str, rules_dir: tuple[str, ...]) -> int:
    """One rule with its pattern, examples and references.

    \b
    erranalytics rules show memory/cuda-buffer-of-size
    """
    from erranalytics import render, rulebook

    render.write_json(rulebook.load(rules_dir).find(name).as_dict(), out=sys.stdout.buffer)
    return ExitCode.DONE


@rules.command("check", short_help="Prove every rule and line format by its samples.")
@rules_option
@guarded
def rules_check(rules_dir: tuple[str, ...]) -> int:
    """Prove every rule by its examples and counterexamples, every line format by its samples.

    \b
    erranalytics rules check
    erranalytics rules check --rules my-rules
    """
    from erranalytics import calls, lineformats, proof, rulebook
    from erranalytics.errors import RuleError

    book, formats = rulebook.read(rules_dir), lineformats.read()
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
def rules_suggest(text: tuple[str, ...], fingerprint: str | None, db: str | None, rules_dir: tuple[str, ...]) -> int:
    """Draft the file of a rule for a text that no rule knows.

    \b
    erranalytics rules suggest 'the line' > rules/runner/the-symptom.toml
    erranalytics rules suggest --fingerprint 1f0c2d3e4a5b6c7d
    """
    from erranalytics import api, render

    query = sys.stdin.read() if text == ("-",) else " ".join(text)
    draft = api.suggest_rule(query, fingerprint=fingerprint, db=db, rules_dir=rules_dir)
    if draft.known:
        diagnostics.note(draft.told)
    else:
        render.write_lines(draft.lines(), out=sys.stdout.buffer)
    return ExitCode.DONE


@main.command(
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
@click.argument("paths", nargs=-1, metavar="[FILE]...", shell_complete=completion.files)
@db_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@guarded
def doctor(paths: tuple[str, ...], db: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Versions, store, schema, rulebook, and what would be detected in FILEs.

    \b
    erranalytics doctor
    erranalytics doctor server.log --json
    """
    from erranalytics import api, render, summary

    facts = api.diagnose(paths, db=db)
    if as_json:
        render.write_json(facts, out=sys.stdout.buffer)
    else:
        render.write_lines(summary.fact_lines(facts), out=sys.stdout.buffer)
    return ExitCode.USAGE if facts["rulebook_faults"] or facts["format_faults"] else ExitCode.DONE


@main.command(name="completion", short_help="What makes bash, zsh or fish complete names.")
@click.argument("shell", type=click.Choice(completion.SHELLS), metavar="bash|zsh|fish")
@guarded
def completion_script(shell: str) -> int:
    """Print what makes a shell complete commands, reports, formats, codes and parameters.

    \b
    eval "$(erranalytics completion bash)"
    eval "$(erranalytics completion zsh)"
    erranalytics completion fish > ~/.config/fish/completions/erranalytics.fish

    The first line belongs into ~/.bashrc, the second into ~/.zshrc behind compinit.
    """
    from erranalytics import render

    render.write_text(completion.script(main, shell), out=sys.stdout.buffer)
    return ExitCode.DONE
