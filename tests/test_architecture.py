"""What keeps the code as it is meant to be: layers, no Python per line, who may write where, cold start, the schema."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

import polars as pl
import pytest
from support.folders import ROOT, TESTS

from erranalytics import schema
from erranalytics.store import migrate
from erranalytics.store.connection import open_in_memory

PACKAGE = ROOT / "erranalytics"
# Every module by its name below the package, such as `client.recorder`; a package is called `client.__init__`.
ALL = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
# What programs embed: it has the same rules and one more, it imports nothing but the standard library.
EMBEDDED = [module for module in ALL if module.startswith("client.")]
MODULES = [module for module in ALL if module not in EMBEDDED]

# Modules through which every line of a log goes.
HOT = (
    "classification.classifier",
    "classification.fingerprint",
    "classification.innermost",
    "classification.remedies",
    "classification.verdicts",
    "clocks.clock",
    "clocks.timestamps",
    "clocks.wrapper_stamps",
    "clocks.years",
    "clocks.zones",
    "derivation.steps",
    "ingestion.deduplication",
    "ingestion.loads",
    "ingestion.pipeline",
    "ingestion.prefetch",
    "ingestion.reclassification",
    "ingestion.resume",
    "ingestion.rows",
    "ingestion.stored_text",
    "parsing.events",
    "parsing.fields",
    "parsing.gin",
    "parsing.slog",
    "parsing.recognition",
    "parsing.joining",
    "parsing.framing",
    "parsing.sessions",
    "redaction",
    "sources.files",
    "sources.lines",
    "store.frames",
    "wrappers.journal_entries",
    "wrappers.json_lines",
    "wrappers.powershell",
    "wrappers.prefixes",
    "wrappers.rows",
    "wrappers.unwrapping",
)
PER_ROW = {"iter_rows", "iter_slices", "map_elements", "map_batches", "map_rows", "apply", "rows"}
PYDANTIC = {"calls.record", "parsing.format_files", "reports.header", "classification.rule_files"}
WRITERS = {"output.render", "cli.diagnostics"}

# Tests of the whole repository; those of a package are in the folder of its name.
WHOLE = {"test_architecture", "test_contributing", "test_docs", "test_readme", "test_samples", "test_support"}
TEST_FILES = sorted(TESTS.rglob("*.py"))


def tree(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(source(module))


def source(module: str) -> str:
    """The text of a module."""
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


def functions(module: str) -> Iterator[ast.FunctionDef]:
    """All functions of a module, methods included."""
    return (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef))


def python(*arguments: str) -> str:
    """What a Python process of its own prints."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


# --- stages --------------------------------------------------------------------------------------------------------


def test_every_module_is_watched() -> None:
    """These tests see what lies in packages, and a stage that is renamed does not escape them."""
    listed = subprocess.run(["git", "ls-files", "erranalytics"], cwd=ROOT, capture_output=True, text=True, check=False)
    kept = [path for path in listed.stdout.split() if path.endswith(".py")]
    assert len(ALL) >= max(len(kept), 80)
    assert {"client.recorder", "client.startup.sitecustomize"} <= set(EMBEDDED)
    assert set(HOT) | WRITERS | PYDANTIC <= set(MODULES)


@pytest.mark.parametrize("module", HOT)
def test_stages_do_not_touch_rows_one_by_one(module: str) -> None:
    """polars and DuckDB see the lines, Python sees columns."""
    names = [node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)]
    # frames.rows reads a handful of known sources.
    own = {"rows"} if module in {"store.frames", "ingestion.loads"} else set()
    assert [name for name in names if name in PER_ROW - own] == []


@pytest.mark.parametrize("module", HOT)
def test_stages_do_not_loop_over_lines(module: str) -> None:
    """No ``for … in lines``, no comprehension over a column turned into a list."""
    found = []
    for function in functions(module):
        loops = [node.iter for node in ast.walk(function) if isinstance(node, ast.For | ast.comprehension)]
        for iterated in loops:
            text = ast.unparse(iterated)
            if re.fullmatch(r"\w*lines|.*\.splitlines\(\)|.*\.to_list\(\)", text) and "rules" not in text:
                found.append((module, function.name))
    assert found == []


def test_pydantic_stands_at_the_borders_only() -> None:
    """Models check data files and records, never lines."""
    users = {
        module
        for module in ALL
        for node in ast.walk(tree(module))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0].startswith("pydantic"))
        or (isinstance(node, ast.Import) and any(name.name.startswith("pydantic") for name in node.names))
    }
    assert users == PYDANTIC


# --- who may write where -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", sorted(set(ALL) - WRITERS))
def test_only_render_and_diagnostics_write_to_the_terminal(module: str) -> None:
    """No print, no click.echo, no sys.stderr; the command line only hands standard output over."""
    text = "\n".join(ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Call))
    assert not re.search(r"\b(print|click\.(echo|secho))\(", text)
    assert not re.search(r"sys\.(__)?std(out|err)(__)?(\.buffer)?\.write", text)
    if not module.startswith(("cli.commands.", "cli.options")):
        assert "sys.stdout" not in text
        assert "sys.stderr" not in text


def test_bodies_of_commands_are_short() -> None:
    """A command parses, calls one function, hands the result to render: 25 lines at most."""
    long = {}
    commands = [module for module in MODULES if module.startswith("cli.commands.")]
    assert len(commands) > 4
    for function in (function for module in commands for function in functions(module)):
        if any("command" in ast.unparse(mark) for mark in function.decorator_list):
            body = function.body[1:] if ast.get_docstring(function) else function.body
            lines = (function.end_lineno or 0) - body[0].lineno + 1
            if lines > 25:
                long[function.name] = lines
    assert long == {}


@pytest.mark.parametrize("module", ALL)
def test_functions_and_modules_stay_readable(module: str) -> None:
    """Functions of 40 lines at most without their docstring, modules of 500."""
    long = {}
    for function in functions(module):
        body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
        lines = (function.end_lineno or 0) - body[0].lineno + 1
        if lines > 40:
            long[function.name] = lines
    assert long == {}
    assert len(source(module).splitlines()) <= 500


# --- imports -------------------------------------------------------------------------------------------------------


def loaded_after(code: str) -> set[str]:
    """Top-level packages that are loaded after some code."""
    return set(
        python("-c", f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})").split()[-900:]
    )


def test_importing_the_package_loads_no_library() -> None:
    """``import erranalytics`` is free: its names are resolved when they are first used."""
    assert not loaded_after("import erranalytics") & {"polars", "duckdb", "pydantic", "rich", "click"}


@pytest.mark.parametrize("module", EMBEDDED)
def test_the_recorder_imports_the_standard_library_only(module: str) -> None:
    """Programs embed it: nothing else is imported, not even inside a function."""
    names = [alias.name for node in ast.walk(tree(module)) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom)]
    others = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    assert [name for name in others if not name.startswith("erranalytics.client")] == []


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_loads_neither_polars_nor_duckdb(option: str) -> None:
    """Help appears at once."""
    code = f"from erranalytics.cli.main import main\ntry:\n    main(['{option}'])\nexcept SystemExit:\n    pass"
    assert not loaded_after(code) & {"polars", "duckdb", "pydantic"}


def test_a_code_is_explained_without_polars_or_duckdb() -> None:
    """A code or slug needs no pattern, so the slowest imports are spared."""
    code = "from erranalytics.cli.main import main\ntry:\n    main(['explain', 'MEM014'])\nexcept SystemExit:\n    pass"
    assert not loaded_after(code) & {"polars", "duckdb"}


# One process for all modules of a package: each is imported in a child of its own, that has the libraries and of the
# package nothing. Only their plain names are imported before, so a module that wants a part of one must say so itself.
IMPORTS = """
import json, os, sys
libraries, modules = json.loads(sys.argv[1])
for name in libraries:
    __import__(name)
assert not [name for name in sys.modules if name.startswith("erranalytics")]
for name in modules:
    child = os.fork()
    if child == 0:
        before = set(sys.modules)
        __import__(name)
        print(json.dumps([name, sorted({one for one in sys.modules if one not in before})]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
LIBRARIES = ("click", "duckdb", "jinja2", "platformdirs", "polars", "pydantic", "rich")
# `python -m erranalytics` runs when it is imported, and Python itself imports the start of the recorder.
IMPORTED = [module for module in ALL if module not in {"__main__", "client.startup.sitecustomize"}]


def dotted(module: str) -> str:
    """The name a module is imported by."""
    return f"erranalytics.{module}".removesuffix(".__init__")


def pulled_in(modules: list[str], *, libraries: Sequence[str] = ()) -> dict[str, set[str]]:
    """What the import of each module loads besides; a module that cannot be imported first is left out, with its reason."""
    asked = json.dumps([libraries, [dotted(module) for module in modules]])
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS, asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    reports = map(json.loads, run.stdout.splitlines())
    return {name: set(loaded) for name, loaded in reports} | ({"faults": {run.stderr}} if run.stderr else {})


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What the import of each module loads, when it is the first of the package."""
    embedded = [module for module in IMPORTED if module in EMBEDDED]
    return pulled_in(sorted(set(IMPORTED) - set(embedded)), libraries=LIBRARIES) | pulled_in(embedded)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("module", IMPORTED)
def test_every_module_can_be_imported_first(module: str, imports: dict[str, set[str]]) -> None:
    """Layers without circles: no module needs another one to be loaded before it; the recorder loads no library."""
    assert dotted(module) in imports, imports.get("faults")
    assert dotted(module) in imports[dotted(module)]
    if module in EMBEDDED:
        roots = {name.partition(".")[0] for name in imports[dotted(module)]}
        assert {name for name in roots if name not in sys.stdlib_module_names} == {"erranalytics"}


def test_layers_are_kept() -> None:
    """The import contract of pyproject.toml, as ``make check`` proves it."""
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:]


# --- the tests -----------------------------------------------------------------------------------------------------


def test_what_tests_share_is_in_support() -> None:
    """No test module imports another one, and a module that holds no tests has its place in ``tests/support``."""
    helpers = {path for path in TEST_FILES if path.is_relative_to(TESTS / "support")}
    modules = [path for path in TEST_FILES if path not in helpers]
    assert len(modules) > 70
    assert [path for path in modules if not path.name.startswith("test_")] == [TESTS / "conftest.py"]
    # A module is found by its path from the checkout, from `tests`, and from its own folder when it is run as a script.
    others = {name for path in modules for name in (path.stem, ".".join(path.relative_to(TESTS).with_suffix("").parts))}
    found = []
    for path in TEST_FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found += [(path.name, name) for name in names if name.removeprefix("tests.") in others]
    assert found == []


def test_folders_of_tests_are_named_after_packages() -> None:
    """Where a package is tested is no question; what is not about one package is a property, a process or the whole."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    folders = {path.relative_to(TESTS).parts[:-1] for path in TEST_FILES if path.name.startswith("test_")} - {()}
    assert len(folders) > 10
    assert {"/".join(folder) for folder in folders} <= packages | {"properties", "process"}
    files = [path.relative_to(TESTS).parts for path in TESTS.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    others = {parts[0] for parts in files if len(parts) > 1} - {folder for (folder,) in folders}
    assert others == {"bad", "cases", "compat", "data", "golden", "support"}
    assert {path.stem for path in TESTS.glob("test_*.py")} == WHOLE


# --- the store -----------------------------------------------------------------------------------------------------

DUCKDB_TYPES = {
    pl.Int64: "BIGINT",
    pl.Int32: "INTEGER",
    pl.Int16: "SMALLINT",
    pl.String: "VARCHAR",
    schema.UTC_US: "TIMESTAMP WITH TIME ZONE",
}


@pytest.fixture(scope="module")
def columns() -> Iterator[list[tuple[str, str, str, str | None]]]:
    """Table, column, type and comment of everything in an empty store."""
    connection = open_in_memory()
    sql = "select table_name, column_name, data_type, comment from duckdb_columns() where not internal order by 1, 2"
    yield connection.execute(sql).fetchall()
    connection.close()


def test_the_table_of_events_has_the_types_of_the_frame(columns: list[tuple[str, str, str, str | None]]) -> None:
    """Where EVENTS and the table share a column, they share its type."""
    stored = {name: kind for table, name, kind, _ in columns if table == "events"}
    framed = {name: DUCKDB_TYPES[kind] for name, kind in schema.EVENTS.items() if name in stored}
    assert {name: stored[name] for name in framed} == framed
    assert {"line_no", "line_count", "ts", "ts_source", "format", "level", "message"} <= framed.keys()


def test_every_column_has_a_comment(columns: list[tuple[str, str, str, str | None]]) -> None:
    """An analyst reads the store without this repository; a view may pass a column of a table on."""
    said = {name for _, name, _, comment in columns if comment}
    with open_in_memory() as connection:
        found = connection.execute("select view_name from duckdb_views() where not internal").fetchall()
    views = {name for (name,) in found}
    silent = [(table, name) for table, name, _, comment in columns if not comment]
    assert [f"{table}.{name}" for table, name in silent if table not in views or name not in said] == []


def test_every_table_and_view_has_a_comment() -> None:
    """What a row stands for is said in the store."""
    connection = open_in_memory()
    tables = "select table_name, comment from duckdb_tables() where not internal"
    views = "select view_name, comment from duckdb_views() where not internal"
    found = connection.execute(f"{tables} union all {views}").fetchall()
    connection.close()
    assert len(found) > 10
    assert [name for name, comment in found if not comment] == []


def test_durations_sizes_and_times_say_their_unit(columns: list[tuple[str, str, str, str | None]]) -> None:
    """Times are zoned, and no integer is called duration or size without its unit."""
    assert {kind for _, name, kind, _ in columns if name.startswith("ts") and name != "ts_source"} == {
        "TIMESTAMP WITH TIME ZONE"
    }
    assert [name for _, name, _, _ in columns if re.search(r"(duration|latency|_size|_time)$", name)] == []


def test_migrations_are_numbered_without_gaps() -> None:
    """0001, 0002, …: append-only."""
    assert [number for number, _ in migrate.migrations()] == list(range(1, len(migrate.migrations()) + 1))
