"""Commands that read the store: report, sql."""

from __future__ import annotations

import sys
from typing import Any

import click

from erranalytics.cli import completion, diagnostics
from erranalytics.cli.diagnostics import ExitCode
from erranalytics.cli.options import (
    db_option,
    deliver,
    form_option,
    guarded,
    output_option,
    timeout_option,
    wait_option,
)
from erranalytics.errors import UsageError


@click.command()
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
@click.option("--explain", is_flag=True, help="Show how the report is computed, with its numbers: oom-incidents.")
@click.option("--list", "as_list", is_flag=True, help="List the reports with their questions, parameters and columns.")
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
@click.option("--min-count", "min_count", metavar="N", help="A rate of fewer than this many is not judged.")
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
    help="Exit 1 if the condition holds, and say why; may be given more than once. One of severity>=error, "
    "code=MEM014, category=memory, incidents>=5, requests>=5, failure_rate>5%, stream_failure_rate>5% or "
    "REPORT.COLUMN>NUMBER.",
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

    Each report ends with what it could not see. The store is opened for reading only.

    \b
    erranalytics report
    erranalytics report oom-incidents --since -7d
    erranalytics report error-frequency --since 2026-11-20 --tz Europe/Berlin -f csv -o errors.csv
    erranalytics report streaming-failures --param by=model --min-count 50
    erranalytics report --since -7d --html report.html
    erranalytics report --since -1h --fail-on 'severity>=critical' --fail-on 'streaming-failures.rate_upper>2%'
    erranalytics report --list

    A gate of --fail-on compares one number or word. REPORT.COLUMN is compared in the row all if the report has one,
    otherwise in every row. rate_upper and rate_lower are the ends of the 95 % interval. Shares may be 2%, sizes 8GiB,
    durations 30s. A value that cannot be judged, such as a rate of fewer than --min-count, is reported and does not
    fail. To fail then too, add a gate on the count: streaming-failures.known_count<20.
    """
    from erranalytics.output import render
    from erranalytics.reports import catalogue

    if html and (output or form not in ("table", "html")):
        raise UsageError("--html sets the format and the file already", hint="Leave out -f and -o, or --html.")
    form, output = ("html", html) if html else (form, output)
    if as_list:
        with render.opened(output) as out:
            render.write_catalogue(catalogue.describe(names), format=form, out=out)
        return ExitCode.DONE
    from erranalytics import api
    from erranalytics.reports import gates, runner
    from erranalytics.store import queries

    params, wanted = runner.parameters(chosen), [gates.parse(text) for text in fail_on]
    render.check_format(form, tables=len(runner.with_parts(names, explain=explain)), output=output)
    connection, limit = api.connect(db, wait_s=wait_s, on_wait=diagnostics.note), queries.Limit(timeout_s)
    ask = runner.for_page if form == "html" else runner.answer
    results = ask(names, connection=connection, params=params, limit=limit, explain=explain)
    diagnostics.note(f"store: {api.resolve_db(db)}")
    deliver(results, form=form, output=output)
    verdicts = [gates.check(gate, connection=connection, params=params, limit=limit) for gate in wanted]
    for verdict in verdicts:
        diagnostics.verdict(verdict.sentence, failed=verdict.failed)
    return ExitCode.FINDINGS if any(verdict.failed for verdict in verdicts) else ExitCode.DONE


@click.command(short_help="Query the store with SQL, for reading only.")
@click.argument("query", metavar="QUERY|-")
@db_option
@wait_option
@output_option
@form_option
@timeout_option(60)
@guarded
def sql(query: str, db: str | None, wait_s: float, form: str, output: str | None, timeout_s: float) -> int:
    """Query the store with the SQL of DuckDB; - reads the query from standard input.

    It runs one query that reads, and sees this store and no other file. Tables and columns have comments; times are in
    UTC.

    \b
    erranalytics sql 'show tables'
    erranalytics sql 'select column_name, comment from duckdb_columns() where table_name = $$incidents$$'
    erranalytics sql 'select code, count(*) as n from incidents group by code order by n desc'
    erranalytics sql 'select * from requests where status >= 500' -f parquet -o failed.parquet
    erranalytics sql - < query.sql
    """
    from erranalytics import api
    from erranalytics.output import render
    from erranalytics.reports import runner
    from erranalytics.store.queries import Limit

    text = sys.stdin.read() if query == "-" else query
    render.check_format(form, output=output)
    connection = api.connect(db, wait_s=wait_s, on_wait=diagnostics.note)
    deliver([runner.ask(text, connection=connection, limit=Limit(timeout_s))], form=form, output=output)
    return ExitCode.DONE
