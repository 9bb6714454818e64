"""Time every report on a store of ten million events.

    python benchmarks/reports.py [--events 10_000_000] [--folder build] [--only NAME …] [--set NAME=VALUE …]

The store is made once and kept in the folder: the sample logs and a day of a busy server are ingested, which gives events,
requests, errors, incidents, sessions, loads of models and calls as they really hang together; these rows are then copied
with other numbers, each copy a day later, until there are enough. A report is timed as the library runs it, with its notes
on what could not be seen: once in a connection that has read nothing yet (cold), then three times. The last rows
are ``erranalytics report``, the overview with all its parts, in this process and as a whole process. A report has a
second, the overview two, by the best of its runs; ``--check`` makes it an error to need more. On a busy machine look at the
seconds of the processor, which count all threads.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import generate

import erranalytics as ea
from erranalytics.reports import catalogue, runner
from erranalytics.store import frames, migrate
from erranalytics.store.connection import open_store

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = [ROOT / "sample_logs" / name for name in ("server", "client", "gateway")]
QUIET_DAY = datetime(2026, 11, 22, tzinfo=UTC)
QUIET_LINES = 120_000
WORDS = ("north", "east", "south", "west", "up", "down")
LIMIT_S = {"overview": 2.0}
# Numbers of rows and of what they point to; one step for all keeps every reference right.
STEP = 1_000_000
REFERENCE = r"(^|_)(id|by|seq)$"
SHARED_TABLES = ("meta", "causes", "rules", "templates")


def quiet_day() -> Iterator[str]:
    """Lines of a server that mostly works: one access line among nine of the scheduler, a load now and then."""
    rng, now = random.Random(7), QUIET_DAY
    yield generate.slog(now, "INFO", "routes.go:1864", 'msg="Listening on 127.0.0.1:11434 (version 0.24.0)"')
    for number in range(QUIET_LINES):
        now += timedelta(milliseconds=rng.randint(0, 1400))
        if number % 4000 == 0:
            yield from generate.load(now, rng)
        elif number % 10 == 0:
            yield generate.gin(now, rng, 200, f'"{rng.choice(generate.PATHS)}"')
        elif number % 95 == 1:
            yield generate.poll(now, rng)
        elif number % 1000 == 2:
            yield generate.slog(
                now, "WARN", "sched.go:512", f'msg="scheduler drifted" beat={rng.choice(WORDS)}-{rng.choice(WORDS)}'
            )
        else:
            size = (
                f'runner.size="{rng.randint(3, 40)}.{rng.randint(0, 9)} GiB" runner.num_ctx={rng.choice((4096, 8192))}'
            )
            yield generate.slog(
                now, "DEBUG", f"sched.go:{rng.randint(300, 420)}", f'msg="context for request finished" {size}'
            )


@dataclass(frozen=True)
class Seconds:
    """How long something took: by the clock, and of all processors together."""

    wall: float
    cpu: float


def made(folder: Path, events: int) -> Path:
    """The store, made when it is not there yet; its name tells the schema and how it is made, and older ones go."""
    text = "".join([*map(inspect.getsource, (generate, quiet_day, multiply)), migrate.schema_digest()])
    path = folder / f"reports-{events}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.duckdb"
    if path.exists():
        return path
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="erranalytics-bench-", dir=folder) as work:
        seed, log, half = Path(work, "seed.duckdb"), Path(work, "quiet.log"), Path(work, "half.duckdb")
        log.write_text("\n".join(quiet_day()) + "\n", encoding="utf-8")
        ea.ingest([*SAMPLES, log], db=seed, tz="UTC")
        multiply(seed, half, events)
        for older in folder.glob(f"reports-{events}-*.duckdb"):
            older.unlink()
        half.rename(path)
    print(
        f"made {path.name} in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:.0f} MB", file=sys.stderr
    )
    return path


def multiply(seed: Path, out: Path, events: int) -> None:
    """Copy the rows of a store into a new one until it holds as many events."""
    connection = open_store(out)
    connection.execute("set memory_limit = '2GB'")
    connection.execute(f"attach '{seed}' as seed (read_only)")
    ((of_seed,),) = connection.execute("select count(*) from seed.events").fetchall()
    copies = -(-events // of_seed)
    for table in SHARED_TABLES:
        connection.execute(f"delete from {table}")
        connection.execute(f"insert into {table} by name select * from seed.{table}")
    connection.execute(
        "update templates set event_count = event_count * $copies, first_ts = first_ts - to_days($copies - 1)",
        {"copies": copies},
    )
    columns = connection.execute(
        """select table_name, string_agg(case
               when data_type in ('BIGINT', 'INTEGER') and regexp_matches(column_name, $reference) and column_name <> 'template_id'
                   then column_name || ' + $number * $step'
               when data_type = 'TIMESTAMP WITH TIME ZONE' then column_name || ' - to_days($copies - 1 - $number)'
               when column_name = 'host' then 'host || ''-'' || ($number % 8)'
               else column_name end || ' as ' || column_name, ', ' order by column_index)
           from duckdb_columns() where database_name = 'seed' and not internal
               and table_name in (select table_name from duckdb_tables()) group by table_name order by table_name""",
        {"reference": REFERENCE},
    ).fetchall()
    for number in range(copies):
        with frames.transaction(connection):
            for table, values in columns:
                if table not in SHARED_TABLES:
                    sql = f"insert into {table} by name select {values} from seed.{table}"
                    given = {"number": number, "copies": copies, "step": STEP}
                    connection.execute(sql, {name: value for name, value in given.items() if f"${name}" in sql})
    connection.execute("detach seed")
    connection.execute("checkpoint")
    connection.close()


def contents(path: Path) -> str:
    """How many rows of each kind the store holds."""
    tables = (
        "events",
        "requests",
        "errors",
        "incidents",
        "server_sessions",
        "model_loads",
        "gpu_memory",
        "calls",
        "sources",
    )
    connection = ea.connect(path)
    try:
        counts = [(name, connection.execute(f"select count(*) from {name}").fetchall()[0][0]) for name in tables]
    finally:
        connection.close()
    return " · ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts)


def timed(run: Callable[[], Any]) -> tuple[Seconds, Any]:
    """Seconds and the result; those of the processor count its children and all threads."""
    began, busy = time.perf_counter(), sum(os.times()[:4])
    found = run()
    return Seconds(time.perf_counter() - began, sum(os.times()[:4]) - busy), found


def measure(
    path: Path, name: str, given: dict[str, str], runs: int, *, whole: bool = False
) -> tuple[list[Seconds], int]:
    """Seconds of each run, the cold one first, and how many rows it gave."""
    known = catalogue.find(name).params
    params = {key: value for key, value in given.items() if key in known}
    connection = ea.connect(path)

    def run() -> int:
        if whole:
            return sum(one.frame.height for one in runner.answer([name], connection=connection, params=params))
        return runner.run(name, connection=connection, params=params).frame.height

    try:
        found = [timed(run) for _ in range(runs + 1)]
    finally:
        connection.close()
    return [seconds for seconds, _ in found], found[-1][1]


def process(path: Path, runs: int) -> list[Seconds]:
    """Seconds of ``erranalytics report`` from its start to its end."""
    command = [sys.executable, "-m", "erranalytics", "report", "--db", str(path)]
    return [timed(lambda: subprocess.run(command, check=True, capture_output=True))[0] for _ in range(runs + 1)]


def told(name: str, seconds: list[Seconds], rows: int | None) -> tuple[str, bool]:
    """A line of the table, and whether the report stays within its limit."""
    cold, *warm = seconds
    limit, best = LIMIT_S.get(name.split(maxsplit=1)[0], 1.0), min(one.wall for one in warm)
    median, busy = statistics.median(one.wall for one in warm), statistics.median(one.cpu for one in warm)
    is_good = best < limit
    verdict = "ok" if is_good else f"over {limit:g} s"
    count = "" if rows is None else f"{rows:,}"
    return (
        f"{name:<24}{count:>9}{cold.wall:9.2f} s{best:9.2f} s{median:9.2f} s{busy:9.2f} s  {verdict}",
        is_good,
    )


def main() -> int:
    """Make the store, time the reports, print the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=ROOT / "build")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="for the reports that take it")
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is exceeded")
    args = parser.parse_args()
    path = made(args.folder, args.events)
    given = dict(pair.split("=", 1) for pair in args.set)
    print(f"{contents(path)}\n{path.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores, DuckDB {duckdb.__version__}")
    print(f"{'report':<24}{'rows':>9}{'cold':>11}{'best':>11}{'median':>11}{'processor':>11}")
    slow = []
    for name in args.only or catalogue.catalogue():
        line, is_good = told(name, *measure(path, name, given, args.runs))
        print(line, flush=True)
        slow += [] if is_good else [name]
    if not args.only:
        for title, line in (
            ("overview with its parts", measure(path, "overview", given, args.runs, whole=True)),
            ("overview as a process", (process(path, args.runs), None)),
        ):
            text, is_good = told(title, *line)
            print(text, flush=True)
            slow += [] if is_good else [title]
    print(f"over the limit: {', '.join(slow)}" if slow else "every report is within its limit")
    return 1 if slow and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
