"""The program ``erranalytics``: the group of its commands."""

from __future__ import annotations

import gc

import click

from erranalytics.cli import diagnostics
from erranalytics.cli.commands.explain import classify, explain
from erranalytics.cli.commands.ingest import ingest, reclassify
from erranalytics.cli.commands.report import report, sql
from erranalytics.cli.commands.rules import rules
from erranalytics.cli.commands.tools import completion_script, doctor, record
from erranalytics.version import __version__

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
    # The rules live until the process ends; collecting garbage among them again and again would cost a twentieth.
    gc.set_threshold(GARBAGE_OBJECTS)


for command in (ingest, report, explain, classify, sql, reclassify, rules, record, doctor, completion_script):
    main.add_command(command)
