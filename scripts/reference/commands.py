"""The page about the commands: the help of each one, and the exit codes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

import click

from erranalytics.cli import main as cli
from erranalytics.cli.diagnostics import ExitCode
from scripts.reference.markdown import GENERATED, code, fence, page, table


def pages() -> dict[str, str]:
    """The text of the page by its path below ``docs``."""
    blocks = ["# Commands", GENERATED]
    for path, command in _commands(cli.main, ("erranalytics",)):
        blocks += [f"{'#' * min(len(path) + 1, 4)} {' '.join(path)}", *_help(path, command)]
    codes = ((str(code.value), code.sentence) for code in ExitCode)
    return {"cli.md": page([*blocks, "## Exit codes", table(("code", "meaning"), codes)])}


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, member in sorted(command.commands.items()):
            yield from _commands(member, (*path, name))


def _help(path: Sequence[str], command: click.Command) -> Iterator[str]:
    """Usage, sentences, examples and options from the parameters, because click's help differs between versions."""
    params = command.params
    arguments = [param.metavar or (param.name or "").upper() for param in params if isinstance(param, click.Argument)]
    options = [param for param in params if isinstance(param, click.Option) and not param.hidden]
    words = [*path, *(["[OPTIONS]"] if options else []), *arguments]
    yield fence("text", [" ".join([*words, *(["COMMAND"] if isinstance(command, click.Group) else [])])])
    # A block that begins with \b holds examples and stays as it is.
    for block in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "").split("\f")[0]):
        yield fence("text", block.splitlines()[1:]) if block.startswith("\b") else " ".join(block.split())
    if isinstance(command, click.Group):
        rows = ((code(name), _summary(member)) for name, member in sorted(command.commands.items()))
        yield table(("command", "what it does"), rows)
    if options:
        yield table(("option", "meaning"), map(_option, options))


def _summary(command: click.Command) -> str:
    return " ".join(inspect.cleandoc(command.help or "").split("\n\n")[0].split())


def _option(option: click.Option) -> tuple[str, str]:
    names = ", ".join(option.opts)
    choices = getattr(option.type, "choices", None)
    value = "" if option.is_flag else option.metavar or ("|".join(choices) if choices else option.type.name.upper())
    default = f" (default: {option.default})" if option.show_default and option.default is not None else ""
    return code(f"{names} {value}".strip()), (option.help or "") + default
