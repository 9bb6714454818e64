"""Every record once, however its bytes arrive: growing, cut, overlapping, copied, in another form, again and again."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.content import Content, content, counts, difference, digests, ledger
from support.folders import TESTS

from erranalytics.classification import rulebook
from erranalytics.classification.classifier import Memo
from erranalytics.ingestion import loads
from erranalytics.ingestion.loads import LoadResult, Options
from erranalytics.parsing import lineformats
from erranalytics.sources.files import open_source
from erranalytics.store.connection import open_in_memory

pytestmark = pytest.mark.slow

FORMATS, RULES, MEMO = lineformats.load(), rulebook.load(), Memo()
DATA = TESTS / "data" / "once"
CAPTURES = {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.log"))}
# An example costs up to a second, so there are few, and a failing one is not made smaller.
FEW = settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
LEAST_OVERLAP, LEAST_STAMPS = 30, 2
STAMP = re.compile(rb"time=\d{4}-")

Spans = list[tuple[int, int]]


def ingest(connection: duckdb.DuckDBPyConnection, path: Path, **options: object) -> LoadResult:
    """One file, as a run of its own, and the account of its store."""
    previous = options.pop("previous", None)
    source = open_source(str(path))
    result = loads.load(connection, source, Options(FORMATS, RULES, memo=MEMO, **options), previous=previous)  # type: ignore[arg-type]
    assert ledger(connection) == []
    return result


def write(path: Path, data: bytes) -> Path:
    """A file with these bytes."""
    path.write_bytes(data)
    return path


@contextmanager
def bench() -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """An empty store and a folder."""
    with TemporaryDirectory() as folder:
        connection = open_in_memory()
        yield connection, Path(folder)
        connection.close()


@cache
def whole(data: bytes, name: str = "server.log", host: str | None = None) -> Content:
    """What a store says after one ingest of all bytes."""
    with bench() as (connection, folder):
        ingest(connection, write(folder / name, data), host=host)
        return content(connection)


def lines_of(name: str) -> list[bytes]:
    """The lines of a capture with their ends."""
    return CAPTURES[name].splitlines(keepends=True)


def places(count: int) -> st.SearchStrategy[list[float]]:
    """Where to cut, as shares of the whole."""
    return st.lists(st.floats(0.001, 0.999), min_size=1, max_size=count, unique=True).map(sorted)


names = st.sampled_from(sorted(CAPTURES))


# --- one file that grows ----------------------------------------------------------------------------------------------


@FEW
@given(name=names, shares=places(3), block_bytes=st.sampled_from([9000, 30_000, 12 << 20]))
def test_a_file_may_grow_at_any_byte(name: str, shares: list[float], block_bytes: int) -> None:
    """Grown in steps that end inside lines and records, a file says what it says when it is read once."""
    data = CAPTURES[name]
    with bench() as (connection, folder):
        for size in [*(int(share * len(data)) for share in shares), len(data)]:
            ingest(connection, write(folder / "server.log", data[:size]), block_bytes=block_bytes)
        assert difference(content(connection), whole(data)) == {}
        assert connection.execute("select line_count, byte_count from sources").fetchall() == [
            (data.count(b"\n"), len(data))
        ]


def test_growth_may_stop_without_a_line_end() -> None:
    """The last step ends before the end of its line, and counts like one ingest of the same bytes."""
    data = CAPTURES["restarts"][: len(CAPTURES["restarts"]) * 2 // 3]
    data = data[: data.rindex(b"\n")]
    with bench() as (connection, folder):
        for size in (len(data) // 2, len(data)):
            ingest(connection, write(folder / "server.log", data[:size]))
        assert difference(content(connection), whole(data)) == {}


# What the last line holds when the file is read; whether it is an event or waits for its end.
TAILS = {
    "a slog line cut in its time": ("time=2026-11-21T10:00:1", True),
    "a slog line cut before its message": ("time=2026-11-21T10:00:14.155+08:00 level=WARN source=server.go:169", True),
    "a slog line cut in a quoted value": ('time=2026-11-21T10:00:14.155+08:00 level=WARN source=a.go:1 msg="requested co', True),
    "an access line cut before its path": ('[GIN] 2026/11/21 - 10:00:14 | 200 |  280.724731ms |       127.0.0.1 | POST  ', True),
    "a whole slog line": ('time=2026-11-21T10:00:14.155+08:00 level=WARN source=a.go:1 msg="requested context"', False),
    "a whole access line": ('[GIN] 2026/11/21 - 10:00:14 | 200 |  280.724731ms |       127.0.0.1 | POST     "/api/chat"', False),
    "a line of a runner": ("llama_context: n_ctx_seq     = 2048", False),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_a_last_line_without_its_end(name: str) -> None:
    """A line that is evidently cut is a reject that waits for the rest of it; any other is an event at once."""
    text, waits = TAILS[name]
    first = b"".join(lines_of("restarts")[4:20])
    with bench() as (connection, folder):
        path = write(folder / "server.log", first + text.encode())
        result = ingest(connection, path)
        found = connection.execute("select reason, line_no from rejects").fetchall()
        assert found == ([("incomplete", 17)] if waits else [])
        assert result.line_count == 17
        before = digests(connection)
        assert ingest(connection, path).status == "known"
        assert digests(connection) == before
        ended = text.encode() + b'"/api/chat" msg=a\n'
        ingest(connection, write(path, first + ended))
        assert connection.execute("select count(*) from rejects").fetchall() == [(0,)]
        assert difference(content(connection), whole(first + ended)) == {}


# --- the same bytes again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_again_adds_nothing(name: str) -> None:
    """Again and again, renamed, copied, packed: not a row of any table changes."""
    data = CAPTURES[name]
    with bench() as (connection, folder):
        path = write(folder / "server.log", data)
        assert ingest(connection, path).status == "new"
        before = digests(connection)
        copies = [path, path, write(folder / "copy.txt", data), write(folder / "server.log.gz", gzip.compress(data))]
        assert [ingest(connection, one).status for one in copies] == ["known"] * len(copies)
        assert ingest(connection, path.rename(folder / "server.log.1")).status == "known"
        assert digests(connection) == before


def test_known_beside_a_longer_file() -> None:
    """A file is known though the store also holds one of which it is the beginning."""
    data = CAPTURES["restarts"]
    with bench() as (connection, folder):
        sizes = (len(data) // 2, len(data))
        paths = [write(folder / f"{size}.log", data[:size]) for size in sizes]
        ingest(connection, paths[1])
        ingest(connection, paths[0])
        before = digests(connection)
        assert [ingest(connection, path).status for path in (*paths, *paths)] == ["known"] * 4
        assert digests(connection) == before


def test_hosts_that_print_the_same_stay_apart() -> None:
    """Two labels, two servers: twice the rows, each host those of one ingest, and a third read of one adds nothing."""
    data = CAPTURES["era3"]
    with bench() as (connection, folder):
        path = write(folder / "server.log", data)
        for host in ("a", "b"):
            assert ingest(connection, path, host=host).status == "new"
        assert ingest(connection, path, host="a").status == "known"
        assert counts(connection, host="a") == counts(connection, host="b")
        assert counts(connection, host="a")["events"] == sum(whole(data)["events"].values())
        ((total,),) = connection.execute("select count(*) from events").fetchall()
        assert total == 2 * counts(connection, host="a")["events"]


# --- rotation and truncation ------------------------------------------------------------------------------------------


def test_rotated_in_place() -> None:
    """Other content under the same name is another source, and both are kept."""
    old, new = CAPTURES["restarts"], CAPTURES["era3"]
    with bench() as (connection, folder):
        path = write(folder / "server.log", old)
        ingest(connection, path)
        result = ingest(connection, write(path, new))
        assert (result.status, result.duplicate_count) == ("new", 0)
        assert "rotated or truncated" in (result.note or "")
        ((events,),) = connection.execute("select count(*) from events").fetchall()
        assert events == sum(whole(old)["events"].values()) + sum(whole(new)["events"].values())


@pytest.mark.parametrize(("name", "share"), [("era3", 0.1), ("journal", 0.5), ("restarts", 0.5), ("restarts", 0.9)])
def test_truncated_in_place(name: str, share: float) -> None:
    """The first part of a file that was read is all duplicates: nothing is added, nothing lost, and it may grow again."""
    data, part = CAPTURES[name], b"".join(lines_of(name)[: int(share * len(lines_of(name)))])
    with bench() as (connection, folder):
        path = write(folder / "server.log", data)
        ingest(connection, path)
        result = ingest(connection, write(path, part))
        assert "rotated or truncated" in (result.note or "")
        assert (result.status, result.event_count) == ("new", 0)
        assert result.duplicate_count + result.reject_count == result.line_count
        assert difference(content(connection), whole(data)) == {}
        ingest(connection, write(path, data))
        assert difference(content(connection), whole(data)) == {}


def test_copied_and_truncated_goes_on() -> None:
    """``copytruncate``: the copy is recognised, and the lines of the emptied file are new."""
    lines = lines_of("restarts")
    old, new = b"".join(lines[:300]), b"".join(lines[300:])
    with bench() as (connection, folder):
        path = write(folder / "server.log", old)
        ingest(connection, path)
        copy = write(folder / "server.log.1", old)
        first = ingest(connection, copy)
        assert first.status == "known"
        ingest(connection, write(path, new))
        ((events,),) = connection.execute("select sum(line_count) from events").fetchall()
        assert events == len(lines)


# --- pieces -----------------------------------------------------------------------------------------------------------


@FEW
@given(name=names, shares=places(4))
def test_pieces_in_order_are_one_file(name: str, shares: list[float]) -> None:
    """Cut at any line and read in one run, the pieces say what the whole says: records, runs, loads, incidents."""
    lines = lines_of(name)
    bounds = sorted({0, *(int(share * len(lines)) for share in shares), len(lines)})
    with bench() as (connection, folder):
        previous = None
        for number, (start, end) in enumerate(pairwise(bounds)):
            path = write(folder / f"server-{number}.log", b"".join(lines[start:end]))
            previous = ingest(connection, path, previous=previous).source_end
        assert difference(content(connection), whole(CAPTURES[name])) == {}


def stamps(lines: Sequence[bytes]) -> int:
    """Lines of the server with a stamp; access lines come by another stream and prove nothing for the lines between."""
    return sum(bool(STAMP.match(line)) for line in lines)


def parts_twins(lines: Sequence[bytes], at: int) -> bool:
    """Whether a cut is between two equal stamped records: then it is impossible to say which is which."""
    return any(STAMP.match(line) for line in {*lines[:at]} & {*lines[at:]})


def spans(lines: Sequence[bytes], shares: Iterable[float], margins: Iterable[int]) -> Spans:
    """Pieces that overlap by so many lines and by at least two stamps, and do not begin or end between twins."""
    inner = (int(share * len(lines)) for share in shares)
    inner = (at for at in inner if stamps(lines[at:]) >= LEAST_STAMPS and not parts_twins(lines, at))
    bounds = sorted({0, *inner, len(lines)})
    made: Spans = []
    for (start, end), margin in zip(pairwise(bounds), margins, strict=False):
        last = min(len(lines), end + margin)
        while last < len(lines) and (stamps(lines[end:last]) < LEAST_STAMPS or parts_twins(lines, last)):
            last += 1
        made.append((start, last))
    return made


@FEW
@given(
    name=names,
    shares=places(3),
    margins=st.lists(st.integers(LEAST_OVERLAP, 200), min_size=4, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_overlapping_pieces_in_any_order_are_one_file(
    name: str, shares: list[float], margins: list[int], order: object
) -> None:
    """Exports that overlap, each a run of its own, in any order: every record once, runs and loads as in the whole."""
    lines = lines_of(name)
    pieces = spans(lines, shares, margins)
    order.shuffle(pieces)  # type: ignore[attr-defined]
    with bench() as (connection, folder):
        for number, (start, end) in enumerate(pieces):
            ingest(connection, write(folder / f"export{number}of.txt", b"".join(lines[start:end])))
        assert difference(content(connection), whole(CAPTURES[name])) == {}


# Orders that need more than a look at two neighbours: lines of the capture of era 3, in which 22 to 192 have no stamp.
AWKWARD = {
    "the middle comes last and closes the gap": [(0, 260), (300, 580), (200, 420)],
    "two begin inside one stretch without stamps, the last one covers it": [(60, 261), (30, 250), (0, 580)],
    "the earlier beginning comes between the two": [(121, 400), (0, 300), (63, 580)],
    "one inside another": [(0, 580), (100, 300), (200, 500)],
    "joined runs of which one has access lines first, with whole seconds": [(56, 261), (223, 580), (0, 51), (7, 195)],
}


@pytest.mark.parametrize("name", AWKWARD)
def test_pieces_in_awkward_orders(name: str) -> None:
    """Still one file, with its model loads and its runs."""
    lines = lines_of("era3")
    with bench() as (connection, folder):
        for number, (start, end) in enumerate(AWKWARD[name]):
            ingest(connection, write(folder / f"export{number}of.txt", b"".join(lines[start:end])))
        assert difference(content(connection), whole(CAPTURES["era3"])) == {}


# Undecidable cases, with the right count and the actual one: pieces of lines, each ingested by itself.
ACCESS = b'[GIN] 2026/11/21 - 10:00:14 | 200 |       2.5ms |       127.0.0.1 | POST     "/api/chat"\n'
LOADER = b"llama_context: n_ctx_seq     = 2048\nllama_context: n_batch       = 512\n"
STAMPED = b"time=2026-11-21T10:00:12.772+08:00 level=INFO source=a.go:1 msg=loaded\n"
TASK = b"srv  update_slots: all slots are idle\nsrv  log_server_r: done request: POST /chat 127.0.0.1 200\n"
LIMITS = {
    "an overlap that only access lines stamp": ([[STAMPED, TASK, ACCESS, TASK], [ACCESS, TASK, STAMPED.replace(b":12.", b":18.")]], 7, 9),
    "alike lines on both sides of a cut that nothing overlaps": ([[ACCESS], [ACCESS]], 2, 1),
    "pieces without any stamp": ([[LOADER], [LOADER, b"print_info: n_layer = 1\n"]], 3, 5),
}  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_followers_distinguish_equal_records(order: tuple[int, int]) -> None:
    """Of two equal records with a cut between them, the lines after them decide which one the next piece repeats."""
    pieces = [STAMPED + TASK + STAMPED, STAMPED + LOADER]
    with bench() as (connection, folder):
        for number in order:
            ingest(connection, write(folder / f"export{number}of.txt", pieces[number]))
        assert difference(content(connection), whole(STAMPED + TASK + STAMPED + LOADER)) == {}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_that_are_known(name: str) -> None:
    """Where the bytes do not say whether a record was written once or twice, the count is wrong in a known way."""
    pieces, desired, actual = LIMITS[name]
    assert desired != actual
    with bench() as (connection, folder):
        for number, piece in enumerate(pieces):
            ingest(connection, write(folder / f"export{number}of.txt", b"".join(piece)))
        ((lines,),) = connection.execute("select sum(line_count) from events").fetchall()
        assert lines == actual


# --- the same records in another form ---------------------------------------------------------------------------------

SLOG_TIME = re.compile(rb"time=(\S+) ")
GIN_TIME = re.compile(rb"\[GIN\] (\d{4}/\d\d/\d\d - \d\d:\d\d:\d\d) ")
EAST = timezone(timedelta(hours=8))


def stamped(data: bytes) -> Iterator[tuple[datetime, str]]:
    """The lines of a capture with the time at which the wrapper got them: that of the last stamp."""
    now = datetime.min.replace(tzinfo=UTC)
    for line in data.splitlines():
        if slog := SLOG_TIME.match(line):
            now = max(now, datetime.fromisoformat(slog[1].decode()))
        elif access := GIN_TIME.match(line):
            local = datetime.strptime(access[1].decode(), "%Y/%m/%d - %H:%M:%S").replace(tzinfo=EAST)
            now = max(now, local)
        now += timedelta(microseconds=35)
        yield now.astimezone(UTC), line.decode()


def entries(data: bytes) -> Iterator[dict[str, str]]:
    """As journald has them, without the blank lines that it leaves out."""
    for number, (now, line) in enumerate(stamped(data)):
        if line.strip():
            yield {
                "__CURSOR": f"s=8ce5;i={number:x};b=6f0c;m={number:x};t={number:x};x=1",
                "__REALTIME_TIMESTAMP": str(int(now.timestamp()) * 1_000_000 + now.microsecond),
                "_HOSTNAME": "gpu01",
                "SYSLOG_IDENTIFIER": "ollama",
                "_PID": "24907",
                "_SYSTEMD_UNIT": "ollama.service",
                "MESSAGE": line.rstrip(),
            }


def journal_json(data: bytes) -> bytes:
    """``journalctl -o json``."""
    return "".join(json.dumps(one) + "\n" for one in entries(data)).encode()


def journal_export(data: bytes) -> bytes:
    """``journalctl -o export``."""
    return "".join("".join(f"{key}={value}\n" for key, value in one.items()) + "\n" for one in entries(data)).encode()


def journal_short(data: bytes) -> bytes:
    """``journalctl -o short`` of a machine in the zone of the server."""
    made = (
        f"{now.astimezone(EAST):%b %d %H:%M:%S} gpu01 ollama[24907]: {line.rstrip()}\n"
        for now, line in stamped(data)
        if line.strip()
    )
    return "".join(made).encode()


def docker_json(data: bytes) -> bytes:
    """The json-file of docker; access lines go to another stream than the rest."""
    made = (
        {
            "log": f"{line}\n",
            "stream": "stdout" if line.startswith("[GIN]") else "stderr",
            "time": f"{now:%FT%T.%f}000Z",
        }
        for now, line in stamped(data)
    )
    return "".join(json.dumps(one) + "\n" for one in made).encode()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "journald-json": journal_json,
    "journald-export": journal_export,
    "journald-short": journal_short,
    "docker-json": docker_json,
}
PAIRS = [
    *(pair for form in FORMS if form != "plain" for pair in (("plain", form), (form, "plain"))),
    ("journald-json", "docker-json"),
    ("journald-export", "journald-short"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_forms_of_one_log_count_once(first: str, second: str) -> None:
    """Under one host label the second form adds nothing, whichever comes first; counts are those of one form."""
    data = b"".join(lines_of("journal")[:440])
    with bench() as (connection, folder):
        one = ingest(
            connection, write(folder / "first.log", FORMS[first](data)), host="gpu01", default_tz="Asia/Shanghai"
        )
        assert one.wrapper == first
        single = counts(connection)
        two = ingest(
            connection, write(folder / "second.log", FORMS[second](data)), host="gpu01", default_tz="Asia/Shanghai"
        )
        assert two.wrapper == second
        assert counts(connection) == single


@pytest.mark.parametrize("cut", [0.3, 0.7])
def test_a_form_that_holds_more_adds_the_rest(cut: float) -> None:
    """Half a plain file, then the whole as the journal has it: the whole, once; and the other way round."""
    lines = lines_of("journal")
    data, part = CAPTURES["journal"], b"".join(lines[: int(cut * len(lines))])
    options = {"host": "gpu01", "default_tz": "Asia/Shanghai"}
    with bench() as (connection, folder):
        ingest(connection, write(folder / "whole.log", data), **options)
        single = counts(connection)
    for first, second in ((part, journal_json(data)), (journal_json(part), data)):
        with bench() as (connection, folder):
            ingest(connection, write(folder / "first.log", first), **options)
            ingest(connection, write(folder / "second.log", second), **options)
            assert counts(connection) == single
