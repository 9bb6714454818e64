"""What a shell offers when TAB is pressed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from support.folders import ROOT

from erranalytics.classification import rulebook
from erranalytics.cli import completion
from erranalytics.cli.main import main
from erranalytics.output import render
from erranalytics.reports import catalogue


def offered(line: str) -> list[str]:
    """Words offered for the last word of a line."""
    *words, incomplete = line.split(" ")
    shell = ShellComplete(main, {}, "erranalytics", "_ERRANALYTICS_COMPLETE")
    return [item.value for item in shell.get_completions(words, incomplete)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rep", ["report"]),
        ("report oom-t", ["oom-trend"]),
        ("report incidents streaming-f", ["streaming-failures"]),
        ("report overview-", []),
        ("report -f js", ["json", "jsonl"]),
        ("sql -f par", ["parquet"]),
        ("report --bucket ", ["hour", "day", "week"]),
        ("report --code mem00", [f"MEM00{n}" for n in range(1, 10)]),
        ("explain OVL00", [f"OVL00{n}" for n in range(1, 9)]),
        ("report --tz Europe/Berl", ["Europe/Berlin"]),
        ("report --since ", list(completion.TIMES)),
        ("report streaming-failures --param by=m", ["by=model"]),
        ("report --fail-", ["--fail-on"]),
        ("completion z", ["zsh"]),
        ("rules show memory/cuda-b", ["memory/cuda-buffer-of-size"]),
        ("ingest --format compo", ["compose"]),
    ],
)
def test_names_are_offered(line: str, expected: list[str]) -> None:
    """Commands, reports, formats, codes, parameters, zones; parts of reports are not."""
    found, last = offered(line), line.rsplit(" ", maxsplit=1)[-1]
    assert [one for one in found if one in expected] == expected
    assert all(one.lower().startswith(last.lower()) for one in found)


@pytest.mark.parametrize("line", ["ingest serv", "report -o rep", "sql --db s", "classify ", "doctor "])
def test_paths_are_left_to_the_shell(line: str) -> None:
    """The shell knows files best."""
    *words, incomplete = line.split(" ")
    shell = ShellComplete(main, {}, "erranalytics", "_ERRANALYTICS_COMPLETE")
    assert [item.type for item in shell.get_completions(words, incomplete)] == ["file"]


def test_what_is_offered_is_what_there_is() -> None:
    """Every report, format, code and rule, and nothing else."""
    context, parameter = click.Context(main), click.Option(["--x"])
    values = {
        kind.__name__: {item.value for item in kind(context, parameter, "")}
        for kind in (completion.reports, completion.formats, completion.codes, completion.rule_names)
    }
    book = rulebook.load()
    assert values["reports"] == {one["name"] for one in catalogue.describe()}
    assert values["formats"] == set(render.FORMATS)
    assert values["codes"] == set(book.causes)
    assert values["rule_names"] == set(book.by_id)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_names_the_program(shell: str) -> None:
    """It asks the program itself, by the variable of click."""
    script = completion.script(main, shell)
    assert f"_ERRANALYTICS_COMPLETE={shell}_complete" in script
    assert "erranalytics" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash_completes(tmp_path: Path) -> None:
    """The script is sourced, its function called as TAB calls it, and the words come back."""
    program = tmp_path / "erranalytics"
    code = "from erranalytics.cli.main import main; main(prog_name='erranalytics')"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = """
        eval "$(erranalytics completion bash)"
        function=$(complete -p erranalytics | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        ask() { COMP_WORDS=(erranalytics "$@"); COMP_CWORD=$#; COMPREPLY=(); "$function" erranalytics; echo "${COMPREPLY[*]}"; }
        ask report streaming-
        ask report incidents -f js
        ask rules li
    """
    path = f"{tmp_path}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert run.stdout.splitlines() == ["streaming-failures", "json jsonl", "list"]
