"""The page about the store: how its main tables are related, then every table and view with its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import duckdb

from erranalytics.store import connection as store
from scripts.reference.markdown import GENERATED, code, page, table

HEAD = """The store is one DuckDB file. Everything in it has a comment, and this page is made from those comments.
Times are UTC. Durations end in `_us` or `_ms`, sizes in `_bytes`, counts in `_count`. [SQL](sql.md) shows how to query
it, and [definitions](definitions.md) explain the words."""
DIAGRAM_HEAD = """Every record of a log is one row of `events`. Some events are more than that: an access line also
has a row in `requests`, a record that a client wrote has one in `calls`, and a problem has one in `errors`. All errors
of one failure belong to one row of `incidents`, and so do the requests and calls it took with it. `calls.request_id`
joins a call with the access line of the same request."""
# (many, column, one, label from one to many). A column that the store lacks is an error.
LINKS = (
    ("loads", "source_id", "sources", "is read by"),
    ("events", "load_id", "loads", "stores"),
    ("events", "session_id", "server_sessions", "spans"),
    ("events", "template_id", "templates", "is the pattern of"),
    ("errors", "event_id", "events", "may be a problem"),
    ("requests", "event_id", "events", "may be an access line"),
    ("calls", "event_id", "events", "may be a client record"),
    ("errors", "incident_id", "incidents", "shows in"),
    ("requests", "incident_id", "incidents", "takes with it"),
    ("calls", "incident_id", "incidents", "takes with it"),
    ("calls", "request_id", "requests", "is the other end of"),
    ("requests", "answered_by", "requests", "answers, at a gateway"),
    ("errors", "code", "causes", "classifies"),
    ("incidents", "code", "causes", "is the root of"),
    ("rules", "code", "causes", "is recognised by"),
    ("model_loads", "session_id", "server_sessions", "tries"),
)
_ONE_TO_ONE = {("errors", "events"), ("requests", "events"), ("calls", "events"), ("calls", "requests")}


@dataclass(frozen=True)
class Relation:
    """A table or view with its comment, and its columns as (name, type, comment)."""

    name: str
    comment: str
    columns: tuple[tuple[str, str, str], ...]
    sql: str = ""


def pages() -> dict[str, str]:
    """The text of the page by its path below ``docs``."""
    with store.open_in_memory() as connection:
        tables, views = _tables(connection), _views(connection)
    views = _with_comments(views, tables)
    blocks = ["# The store", GENERATED, HEAD, "## How the tables are related", DIAGRAM_HEAD, _diagram(tables)]
    for title, relations in (("Tables", tables), ("Views", views)):
        rows = ((f"[{name}](#{name})", relation.comment) for name, relation in relations.items())
        blocks += [f"## {title}", table((title.lower().removesuffix("s"), "one row"), rows)]
        blocks += [part for relation in relations.values() for part in _section(relation)]
    return {"store.md": page(blocks)}


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, Relation]:
    found = connection.execute("select table_name, comment from duckdb_tables() where not internal order by 1")
    return {name: Relation(name, comment, _columns(connection, name)) for name, comment in found.fetchall()}


def _views(connection: duckdb.DuckDBPyConnection) -> dict[str, Relation]:
    found = connection.execute("select view_name, comment, sql from duckdb_views() where not internal order by 1")
    return {name: Relation(name, comment, _columns(connection, name), sql) for name, comment, sql in found.fetchall()}


def _with_comments(views: Mapping[str, Relation], tables: Mapping[str, Relation]) -> dict[str, Relation]:
    """The views, in which a column without a comment gets that of the column that it passes on.

    If several relations of the view have such a column, the comment names them instead.
    """
    known = {**tables, **views}

    def comment(view: Relation, column: str) -> str:
        named = dict.fromkeys(name for name in re.findall(r"\w+", view.sql) if name in known and name != view.name)
        owners = {name: text for name in named for other, _, text in known[name].columns if other == column}
        texts = {text or comment(known[name], column) for name, text in owners.items()}
        return texts.pop() if len(texts) == 1 else f"see {', '.join(owners)}" if owners else ""

    return {
        name: replace(
            view, columns=tuple((column, kind, text or comment(view, column)) for column, kind, text in view.columns)
        )
        for name, view in views.items()
    }


def _columns(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[tuple[str, str, str], ...]:
    found = connection.execute(
        "select column_name, data_type, coalesce(comment, '') from duckdb_columns() where table_name = ? "
        "order by column_index",
        [name],
    )
    return tuple(found.fetchall())


def _diagram(tables: Mapping[str, Relation]) -> str:
    """An entity-relationship diagram in Mermaid."""
    lines = ["erDiagram"]
    for many, column, one, label in LINKS:
        if column not in {name for name, _, _ in tables[many].columns}:
            raise ValueError(f"{many} has no column {column}")
        end = "o|" if (many, one) in _ONE_TO_ONE else "o{"
        lines.append(f'    {one} ||--{end} {many} : "{label}"')
    return "\n".join(["```mermaid", *lines, "```"])


def _section(relation: Relation) -> Iterator[str]:
    yield f"### {relation.name}"
    yield f"{relation.comment}."
    rows = [(code(name), code(kind.lower()), comment) for name, kind, comment in relation.columns]
    yield table(("column", "type", "meaning"), rows)
