"""The facts of an attempt to load a model (``load_facts.toml``), as one view over the records of the attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from erranalytics import datafiles

_PICK = {"first": "arg_min", "last": "arg_max"}


def facts() -> Sequence[Mapping[str, Any]]:
    """The entries of the file, in its order."""
    return list(datafiles.table("load_facts")["fact"])


def view() -> str:
    """The statement that makes ``load_facts``: a row per attempt in ``load_records``, a column of text per fact."""
    columns = ", ".join(f"{_aggregate(fact)} as {fact['name']}" for fact in facts())
    return f"create or replace temp view load_facts as select load_seq, {columns} from load_records group by load_seq"


def value(seen: Mapping[str, Any]) -> str:
    """The SQL of what one entry of ``seen`` gives for a record; NULL where it gives nothing."""
    source = str(seen["source"])
    text = source if source in ("message", "text") else f"attrs ->> {_literal('$.' + _key(source))}"
    if "has" in seen:
        return f"case when contains({text}, {_literal(seen['has'])}) then {_literal(seen['means'])} end"
    if "pattern" in seen:
        text = f"trim(regexp_extract({text}, {_literal(seen['pattern'])}, 1))"
    return f"nullif({text}, '')"


def _aggregate(fact: Mapping[str, Any]) -> str:
    values = ", ".join(map(value, fact["seen"]))
    conditions = []
    if kinds := fact.get("kind"):
        conditions.append(f"kind in ({', '.join(map(_literal, kinds))})")
    if like := fact.get("like"):
        conditions.append(f"message like {_literal(like)}")
    where = f" filter (where {' and '.join(conditions)})" if conditions else ""
    return f"{_PICK[fact['pick']]}(coalesce({values}), event_id){where}"


def _key(source: str) -> str:
    """The part of ``attrs.KEY`` that JSON paths quote: keys of slog may hold dots and blanks."""
    return '"' + source.removeprefix("attrs.") + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
