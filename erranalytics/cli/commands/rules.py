"""The commands of the rulebook: rules list, show, check and suggest."""

from __future__ import annotations

import sys

import click

from erranalytics.cli import completion, diagnostics
from erranalytics.cli.diagnostics import ExitCode
from erranalytics.cli.options import (
    db_option,
    deliver,
    form_option,
    guarded,
    rules_option,
)


@click.group()
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
    """List all rules in the order in which they are tried.

    \b
    erranalytics rules list
    erranalytics rules list -f csv | grep MEM
    """
    from erranalytics.classification import rulebook
    from erranalytics.output import render
    from erranalytics.reports import runner

    render.check_format(form)
    deliver([runner.rules_result(rulebook.load(rules_dir))], form=form, output=None)
    return ExitCode.DONE


@rules.command("show")
@click.argument("name", metavar="FAMILY/NAME", shell_complete=completion.rule_names)
@rules_option
@guarded
def rules_show(name: str, rules_dir: tuple[str, ...]) -> int:
    """Print one rule with its pattern, examples and references.

    \b
    erranalytics rules show memory/cuda-buffer-of-size
    """
    from erranalytics.classification import rulebook
    from erranalytics.output import render

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
    from erranalytics.calls import decoding
    from erranalytics.classification import proof, rulebook
    from erranalytics.errors import RuleError
    from erranalytics.ingestion import format_proof
    from erranalytics.parsing import lineformats

    book, formats = rulebook.read(rules_dir), lineformats.read()
    faults = [*proof.check(book), *format_proof.check(formats), *decoding.check()]
    if faults:
        raise RuleError.from_faults(faults, hint="The recipe to add a rule is in CONTRIBUTING.md.")
    diagnostics.note(f"{len(book.rules)} rules and {len(formats.formats)} line formats prove themselves")
    return ExitCode.DONE


@rules.command("suggest")
@click.argument("text", nargs=-1, metavar="[TEXT|-]")
@click.option("--fingerprint", metavar="HASH", help="Use a message of the store instead; see report unknown-errors.")
@db_option
@rules_option
@guarded
def rules_suggest(text: tuple[str, ...], fingerprint: str | None, db: str | None, rules_dir: tuple[str, ...]) -> int:
    """Draft the file of a rule for a text that no rule matches.

    \b
    erranalytics rules suggest 'the line' > rules/runner/the-symptom.toml
    erranalytics rules suggest --fingerprint 1f0c2d3e4a5b6c7d
    """
    from erranalytics import api
    from erranalytics.output import render

    query = sys.stdin.read() if text == ("-",) else " ".join(text)
    draft = api.suggest_rule(query, fingerprint=fingerprint, db=db, rules_dir=rules_dir)
    if draft.known:
        diagnostics.note(draft.summary)
    else:
        render.write_lines(draft.lines(), out=sys.stdout.buffer)
    return ExitCode.DONE
