"""JSON objects that polars encodes from structs."""

from __future__ import annotations

import polars as pl


def without_nulls(objects: pl.Expr) -> pl.Expr:
    """JSON objects without the fields that are null.

    >>> pl.select(without_nulls(pl.lit('{"model":"demo","port":null}'))).item()
    '{"model":"demo"}'
    """
    return objects.str.replace_all(r'"\w+":null,?', "").str.replace(r",\}$", "}")


def with_fields(objects: pl.Expr) -> pl.Expr:
    """JSON objects without the fields that are null; null where no field is left."""
    objects = without_nulls(objects)
    return pl.when(objects != "{}").then(objects)
