"""Results that are hard to show."""

from __future__ import annotations

from typing import Any

import duckdb

from erranalytics.reports import runner
from erranalytics.reports.runner import Column, Result

AWKWARD = """
select * from (values
    (1, 'plain', 9007199254740993, 0.1::double, true, timestamptz '2026-11-20 10:00:00+00', ['a', 'b'],
     1.50::decimal(9, 2), 24696061952, 65000000, 0.0047::double, '\\xAA\\x00'::blob, {'k': [1, 2]},
     timestamp '2026-11-20 10:00:00.000001'),
    (2, '[red]bold[/red] | `code` <b>&amp;</b> "q", x', -1, 'nan'::double, false,
     timestamptz '2026-07-01 00:00:00.5+00', [], 0::decimal(9, 2), 0, 250, 0.5::double, ''::blob, {'k': []}, null),
    (3, 'esc ' || chr(27) || '[31m' || chr(10) || 'line' || chr(9) || chr(8238) || chr(155), 0, 'inf'::double,
     null, null, null, null, null, null, null, null, null, null),
    (4, '模型 qwen3:内存不足 🦙', 99999999999999999999999999999999999999, 1e300,
     null, null, ['模型'], null, 1536, 7200000000, 1.0, null, null, null),
    (5, '', null, null, null, null, null, null, 5, 0, 0.0, null, null, null)
) as t (n, text, big, real, flag, moment, list, price, size_bytes, took_us, share, raw, nested, local)
order by n
"""


def awkward(*, tz: str = "UTC") -> Result:
    """One result that holds every awkward type and text."""
    units: dict[str, Any] = {"size_bytes": "bytes", "took_us": "us", "share": "share"}
    frame, types = runner.query(AWKWARD, connection=duckdb.connect())
    columns = tuple(Column(name=name, type=kind, unit=units.get(name)) for name, kind in types.items())
    return Result("awkward", "Awkward [things]", columns, frame, ("a note with [markup] and \x1b[31m",), tz)
