"""The reports on loads, memory, crashes, runs, latency and slow requests: each figure is counted another way."""

from __future__ import annotations

import gzip
import json
import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import erranalytics as ea
from erranalytics.reports import catalogue
from erranalytics.reports.runner import ask, run
from erranalytics.store.connection import open_in_memory

REPORTS = ("model-loads", "gpu-memory", "crashes-and-restarts", "sessions", "latency", "slow-requests")
SAMPLES = ("requests-0.24.0.log", "crash-0.24.0.log.gz", "restart-0.24.0.log", "oom-0.24.0.log", "queue-0.24.0.log")
# Routes of the definition of a request; the samples have no other route of inference.
INFERENCE = ("/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/v1/chat/completions", "/v1/completions",
             "/v1/embeddings", "/v1/responses", "/v1/messages")  # fmt: skip
UNITS = {"h": 3.6e9, "m": 6e7, "s": 1e6, "ms": 1e3, "µs": 1, "ns": 1e-3}
ACCESS = re.compile(r'\[GIN\] (\S+) - (\S+) \| +(\d+) \| +(\S+) \| +\S+ \| (\S+) +"([^"?]*)')
GIB, MIB = 1 << 30, 1 << 20
BLOB, OTHER = "sha256-" + "ab12" * 16, "sha256-" + "cd34" * 16
NOW = datetime(2026, 1, 6, tzinfo=UTC)

Rows = list[dict[str, Any]]


def raw(name: str, root: Path) -> str:
    """The text of a sample log."""
    data = (root / "sample_logs" / "server" / name).read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).decode()


def micros(text: str) -> float:
    """A Go duration in microseconds: 2m48s, 1.5s, 281.975579ms."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|µs|ns|h|m|s)", text))


def access(name: str, root: Path) -> list[tuple[int, float, str]]:
    """Status, microseconds and route of each request (POST) of inference in a sample log, in its order."""
    found = ((int(line[3]), micros(line[4]), line[6]) for line in ACCESS.finditer(raw(name, root)) if line[5] == "POST")
    return [line for line in found if line[2] in INFERENCE]


def percentile(values: list[float], share: float) -> float:
    """The textbook percentile: linear between the two neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


@pytest.fixture(scope="module")
def samples(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The sample logs of five servers, each under a host of its own."""
    db = tmp_path_factory.mktemp("samples") / "samples.duckdb"
    for name in SAMPLES:
        ea.ingest([root / "sample_logs" / "server" / name], db=db, host=name.split("-")[0])
    connection = ea.connect(db)
    yield connection
    connection.close()


def rows(name: str, connection: duckdb.DuckDBPyConnection, **params: object) -> Rows:
    """The rows of a report."""
    return run(name, connection=connection, params=params, now=NOW).frame.to_dicts()


def base(connection: duckdb.DuckDBPyConnection, sql: str) -> Rows:
    """Rows of a plain query, with their times."""
    return ask(sql, connection=connection).frame.to_dicts()


def told(log: str, folder: Path, *, name: str = "journal.log", host: str | None = None) -> duckdb.DuckDBPyConnection:
    """A store of one log, open for reading."""
    path, db = folder / name, folder / "store.duckdb"
    path.write_text(log, encoding="utf-8")
    ea.ingest([path], db=db, tz="UTC", year=2026, host=host)
    return ea.connect(db)


def at(minute: int, second: float, text: str = "", *, source: str = "server.go:1", attrs: str = "") -> str:
    """A line of the server at ten o'clock."""
    quoted = f'"{text}"' if " " in text else text
    line = f"time=2026-01-05T10:{minute:02d}:{second:06.3f}Z level=INFO source={source} msg={quoted} {attrs}"
    return line.rstrip()


def begins(
    minute: int, second: float, *, version: str = "0.24.0", env: str = "OLLAMA_HOST:http://127.0.0.1:11434"
) -> str:
    """The lines with which a server begins."""
    config = at(minute, second, "server config", source="routes.go:1802", attrs=f'env="map[{env} no_proxy:]"')
    return f"{config}\n{at(minute, second, f'Listening on [::]:11434 (version {version})', source='routes.go:1855')}\n"


def loading(minute: int, second: float, took: float, *, blob: str = BLOB, layers: str = "33/33") -> str:
    """The lines of a load that succeeds."""
    start = at(
        minute,
        second,
        "starting runner",
        attrs=f'cmd="/usr/bin/ollama runner --model /models/blobs/{blob} --port 40001"',
    )
    ready = at(minute, second + took, f"llama runner started in {took:.2f} seconds")
    offloaded = f"load_tensors: offloaded {layers} layers to GPU"
    return f"{start}\n{offloaded}\n{ready}\n"


def asked(minute: int, second: int, took: str, *, status: int = 200, route: str = "/api/chat") -> str:
    """An access line."""
    return f'[GIN] 2026/01/05 - 10:{minute:02d}:{second:02d} | {status} | {took:>12} | 127.0.0.1 | POST     "{route}"\n'


def journal(minute: int, second: float, text: str, *, who: str = "ollama[4000]") -> str:
    """A line of the journal."""
    return f"2026-01-05T10:{minute:02d}:{second:09.6f}+0000 gpu01 {who}: {text}\n"


def in_journal(lines: str, *, minute: int = 0, second: float = 0) -> str:
    """Lines of the server as the journal has them, at the time they tell, else the one given."""
    found = []
    for line in lines.splitlines():
        clock = re.search(r"T10:(\d\d):([\d.]+)Z|- 10:(\d\d):(\d\d)", line)
        minute = int(clock[1] or clock[3]) if clock else minute
        second = float(clock[2] or clock[4]) if clock else second
        found.append(journal(minute, second, line))
    return "".join(found)


# --- model-loads ------------------------------------------------------------------------------------------------------


def runners(name: str, root: Path) -> list[float]:
    """The seconds that each runner with a model took to start, as a sample log says; it says so twice."""
    found, is_pending = [], False
    for line in raw(name, root).splitlines():
        if 'msg="starting runner"' in line and "--model " in line:
            is_pending = True
        elif (took := re.search(r'msg="llama runner started in ([\d.]+) seconds"', line)) and is_pending:
            found.append(float(took[1]))
            is_pending = False
    return found


def test_loads_are_those_of_the_lines(samples: duckdb.DuckDBPyConnection, root: Path) -> None:
    """As many were loaded, per log, as runners said that they had started; each took what the runner says."""
    for name in SAMPLES:
        said = runners(name, root)
        found = rows("model-loads", samples, outcome="loaded", host=name.split("-")[0], limit=1000)
        assert len(found) == len(said), name
        for row, took in zip(reversed(found), said, strict=True):
            assert row["duration_us"] / 1e6 == pytest.approx(took, abs=0.05)


def test_loads_agree_with_the_table(samples: duckdb.DuckDBPyConnection) -> None:
    """Newest first, every attempt once, with the name that tells most of the model."""
    found = rows("model-loads", samples, limit=1000)
    table = {row["load_seq"]: row for row in base(samples, "select * from model_loads")}
    assert {row["event_id"] for row in found} == set(table)
    assert [row["ts"] for row in found] == sorted((row["ts"] for row in found), reverse=True)
    for row in found:
        one = table[row["event_id"]]
        assert row["model"] == (one["model"] or one["title"] or one["blob"])
        assert (row["layers"] is None) == (one["layers_total"] is None)
        same = (row.keys() & one.keys()) - {"model"}
        assert len(same) > 10
        assert {key: row[key] for key in same} == {key: one[key] for key in same}
    assert any(row["cause"] for row in found)


@pytest.mark.parametrize(
    ("key", "column"), [("outcome", "outcome"), ("code", "code"), ("model", "model"), ("host", "host")]
)
def test_loads_are_filtered(key: str, column: str, samples: duckdb.DuckDBPyConnection) -> None:
    """Each filter keeps exactly the rows that have its value, and limit the newest of them."""
    everything = rows("model-loads", samples, limit=1000)
    for value in {row[column] for row in everything} - {None}:
        kept = rows("model-loads", samples, limit=1000, **{key: value})
        assert kept == [row for row in everything if row[column] == value]
        assert rows("model-loads", samples, limit=2, **{key: value}) == kept[:2]


def test_a_load_of_three_requests(tmp_path: Path) -> None:
    """Two requests waited for the load, one came when it was over."""
    log = begins(0, 0) + loading(0, 10, 20) + asked(0, 31, "22.0s") + asked(0, 32, "23.5s") + asked(0, 40, "5.0s")
    with told(log, tmp_path) as connection:
        (row,) = rows("model-loads", connection)
        assert (row["waiting_count"], row["duration_us"], row["layers"], row["model"]) == (
            2,
            20_000_000,
            "33/33",
            BLOB[:19],
        )


# --- gpu-memory -------------------------------------------------------------------------------------------------------

COMPUTE = 'id={id} filter_id="" library=CUDA compute=8.6 name={name} description="NVIDIA RTX 3090" total="24.0 GiB" available="{free} GiB"'
MEMORY_LOG = (
    begins(0, 0)
    + at(0, 1, "inference compute", attrs=COMPUTE.format(id="GPU-aaaa", name="CUDA0", free="22.0")) + "\n"
    + at(0, 1, "inference compute", attrs=COMPUTE.format(id="GPU-bbbb", name="CUDA1", free="23.0")) + "\n"
    + at(5, 0, "gpu memory", attrs='id=GPU-aaaa library=CUDA available="21.0 GiB" free="21.5 GiB" minimum="457.0 MiB" overhead="0 B"') + "\n"
    + loading(5, 1, 4)
    + at(20, 0, "gpu memory", attrs='id=GPU-aaaa library=CUDA available="9.0 GiB" free="9.5 GiB" minimum="457.0 MiB" overhead="0 B"') + "\n"
    + loading(20, 10, 5, blob=OTHER)
    + at(59, 0, "gpu memory", attrs='id=GPU-aaaa library=CUDA available="15.0 GiB" free="15.5 GiB" minimum="457.0 MiB" overhead="0 B"') + "\n"
    + "ggml_backend_cuda_device_get_memory device GPU-aaaa utilizing NVML memory reporting free: 17179869184 total: 25769803776\n"
)  # fmt: skip


def test_memory_of_two_cards(tmp_path: Path) -> None:
    """One row per card, whichever of its names a line gives: 22, 21.5, 9.5, 15.5 and 16 GiB were free on the first."""
    with told(MEMORY_LOG, tmp_path, host="gpu01") as connection:
        first, second = rows("gpu-memory", connection)
        assert (first["device"], second["device"], first["host"]) == ("CUDA0", "CUDA1", "gpu01")
        free = [22.0, 21.5, 9.5, 15.5, 16.0]
        assert first["lowest_free_bytes"] == int(min(free) * GIB)
        assert first["median_free_bytes"] == int(statistics.median(free) * GIB)
        assert (first["last_free_bytes"], first["total_bytes"], first["reading_count"]) == (
            16 * GIB,
            24 * GIB,
            len(free),
        )
        assert first["lowest_share"] == pytest.approx(9.5 / 24)
        assert first["tightest_ts"] == datetime(2026, 1, 5, 10, 20, tzinfo=UTC)
        assert first["others_used_bytes"] == 2 * GIB
        # Loaded at 10:05:05; what wanted memory at 10:20 was loaded behind the reading.
        assert (first["model"], first["next_model"]) == (BLOB[:19], OTHER[:19])
        assert first["model_ago_us"] == (15 * 60 - 5) * 1_000_000
        assert first["sources"] == "gpu_memory 3, device_report 1, inference_compute 1"
        assert (second["reading_count"], second["model"]) == (1, None)


def test_memory_in_steps_of_time(tmp_path: Path) -> None:
    """By bucket, each hour of the zone has the readings that lie in it; by session, each run."""
    log = MEMORY_LOG + MEMORY_LOG.replace("T10:", "T11:").replace('free="9.5 GiB"', 'free="1.0 GiB"')
    with told(log, tmp_path, host="gpu01") as connection:
        hours = [row for row in rows("gpu-memory", connection, by="bucket", bucket="hour") if row["device"] == "CUDA0"]
        runs = [row for row in rows("gpu-memory", connection, by="session") if row["device"] == "CUDA0"]
        assert [row["since_ts"].hour for row in hours] == [10, 11]
        for found in (hours, runs):
            assert [row["lowest_free_bytes"] / GIB for row in found] == [9.5, 1.0]
            assert [row["reading_count"] for row in found] == [5, 5]
        assert [row["session_id"] is None for row in (*hours, *runs)] == [True, True, False, False]
        (day,) = [
            row for row in rows("gpu-memory", connection, by="bucket", tz="Asia/Tokyo") if row["device"] == "CUDA0"
        ]
        assert day["since_ts"] == datetime(2026, 1, 4, 15, tzinfo=UTC)


def test_memory_agrees_with_the_readings(samples: duckdb.DuckDBPyConnection) -> None:
    """Least, median, last and number of the readings of each host, taken from the table by hand."""
    readings: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in base(
        samples, "select g.*, s.host from gpu_memory as g inner join server_sessions as s using (session_id)"
    ):
        readings[row["host"]].append((row["event_id"], row["free_bytes"]))
    found = {row["host"]: row for row in rows("gpu-memory", samples)}
    assert {row["device"] for row in found.values()} == {"cpu"}
    assert set(found) == set(readings)
    for host, taken in readings.items():
        free = [amount for _, amount in sorted(taken)]
        row = found[host]
        assert (row["lowest_free_bytes"], row["last_free_bytes"], row["reading_count"]) == (
            min(free),
            free[-1],
            len(free),
        )
        assert row["median_free_bytes"] == pytest.approx(statistics.median(free), abs=1)


def test_hosts_without_a_name_are_not_mixed(tmp_path: Path) -> None:
    """Two logs without a host are two places."""
    db = tmp_path / "store.duckdb"
    for number in (1, 2):
        path = tmp_path / f"server{number}x" / "ollama.log"
        path.parent.mkdir()
        path.write_text(MEMORY_LOG.replace("T10:", f"T1{number}:"), encoding="utf-8")
        ea.ingest([path], db=db, tz="UTC")
    with ea.connect(db) as connection:
        assert Counter(row["device"] for row in rows("gpu-memory", connection)) == {"CUDA0": 2, "CUDA1": 2}


# --- crashes-and-restarts ---------------------------------------------------------------------------------------------

NOTICED = at(3, 0, "llama runner process no longer running", source="server.go:1467", attrs='sys=9 string="signal: killed"').replace("level=INFO", "level=WARN") + "\n"  # fmt: skip
STARTED = journal(0, 0, "Started ollama.service - Ollama Service.", who="systemd[1]")


def systemd(minute: int, second: float, text: str) -> str:
    """A line of the service manager."""
    return journal(minute, second, f"ollama.service: {text}", who="systemd[1]")


def test_a_runner_that_died_and_came_back(tmp_path: Path) -> None:
    """Killed, noticed at 10:03:00, its model was there again at 10:03:12; the server went on."""
    log = begins(0, 0) + loading(1, 0, 2) + asked(2, 0, "30s") + NOTICED + loading(3, 2, 10) + asked(3, 20, "20s")
    with told(log, tmp_path, host="gpu01") as connection:
        (row,) = rows("crashes-and-restarts", connection)
        assert (row["kind"], row["code"], row["ended_by"], row["host"]) == (
            "runner died",
            "MEM022",
            "signal killed",
            "gpu01",
        )
        assert (row["back_us"], row["model"], row["version"], row["restart_count"]) == (
            12_000_000,
            BLOB[:19],
            "0.24.0",
            None,
        )
        # The stream before it was logged as 200.
        assert (row["lost_count"], row["suspected_count"], row["seen_by"]) == (0, 1, "server")


def test_a_server_that_crashed(tmp_path: Path) -> None:
    """Its process ended at 10:02:07, three seconds later it was started again; the row names the status."""
    ended = systemd(2, 7, "Main process exited, code=exited, status=1/FAILURE") + systemd(
        2, 7, "Failed with result 'exit-code'."
    )
    again = systemd(2, 10, "Scheduled restart job, restart counter is at 1.") + journal(
        2, 10, "Started ollama.service - Ollama Service.", who="systemd[1]"
    )
    log = (
        STARTED
        + in_journal(begins(0, 1) + asked(1, 0, "2s"))
        + ended
        + again
        + in_journal(begins(2, 11) + asked(3, 0, "2s"))
    )
    with told(log, tmp_path) as connection:
        (row,) = rows("crashes-and-restarts", connection)
        assert (row["kind"], row["code"], row["restart_count"]) == ("server crashed", "SVC003", 1)
        assert row["back_us"] == pytest.approx(4_000_000, abs=10)
        first, _ = base(connection, "select * from server_sessions where version is not null order by session_id")
        assert (row["session_id"], first["end_reason"]) == (first["session_id"], "crashed")


def test_a_restart_loop_is_one_row(tmp_path: Path) -> None:
    """Five ends within a minute are one row with five restarts, back when it stayed."""
    log = STARTED + in_journal(begins(0, 1) + asked(1, 0, "2s"))
    for number in range(5):
        log += systemd(2, 10 * number, "Main process exited, code=exited, status=1/FAILURE")
        log += systemd(2, 10 * number, "Failed with result 'exit-code'.")
        log += systemd(2, 10 * number + 3, f"Scheduled restart job, restart counter is at {number + 1}.")
        log += in_journal(begins(2, 10 * number + 4))
    log += in_journal(asked(9, 0, "2s"))
    with told(log, tmp_path) as connection:
        (row,) = rows("crashes-and-restarts", connection)
        assert (row["kind"], row["restart_count"]) == ("restart loop", 5)
        # The first end was at 10:02:00, the last start at 10:02:44.
        assert row["back_us"] == pytest.approx(44_000_000, abs=10)
        assert row["lasted_us"] == pytest.approx(43_000_000, abs=10)
        assert rows("crashes-and-restarts", connection, kind="runner") == []


def test_killed_by_the_system(tmp_path: Path) -> None:
    """The kernel kills the server: another row than that of a runner it kills."""
    kill = "Out of memory: Killed process {} ({}) total-vm:61071988kB, anon-rss:30071988kB, file-rss:0kB, shmem-rss:0kB, UID:998 pgtables:60000kB oom_score_adj:0"
    runner = journal(1, 0, kill.format(4711, "ollama_llama_se"), who="kernel")
    server = (
        journal(2, 0, kill.format(4000, "ollama"), who="kernel")
        + systemd(2, 1, "Main process exited, code=killed, status=9/KILL")
        + systemd(2, 1, "Failed with result 'oom-kill'.")
    )
    log = STARTED + in_journal(begins(0, 1)) + runner + in_journal(asked(1, 30, "1s")) + server
    with told(log, tmp_path) as connection:
        found = rows("crashes-and-restarts", connection)
        assert [row["kind"] for row in found] == ["server killed by the OS", "runner killed by the OS"]
        assert [row["code"] for row in found] == ["MEM018", "MEM018"]
        assert [row["back_us"] for row in found] == [None, None]
        assert len(rows("crashes-and-restarts", connection, kind="runner")) == 1


def test_ends_that_nothing_explains(samples: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Of four runs in the log of restarts three were followed by another; a second start on a busy port is no crash."""
    found = rows("crashes-and-restarts", samples, host="restart", kind="server")
    starts = re.findall(r"time=(\S+) .*msg=\"Listening on", raw("restart-0.24.0.log", root))
    assert [row["kind"] for row in found] == ["server restarted"] * (len(starts) - 1)
    back = [row["ts"] + timedelta(microseconds=row["back_us"]) for row in reversed(found)]
    for seen, told_ts in zip(back, starts[1:], strict=True):
        assert abs(seen - datetime.fromisoformat(told_ts)) < timedelta(seconds=1)
    assert {row["lost_count"] for row in found} == {None}


def test_deaths_in_the_crash_log(shared: Path, samples: duckdb.DuckDBPyConnection) -> None:
    """Every row follows a signal that was really sent to a runner, and no two rows tell of the same one."""
    events = (json.loads(line) for line in (shared / "lab" / "events.jsonl").read_text().splitlines())
    sent = [
        datetime.fromisoformat(one["ts"])
        for one in events
        if one["event"] == "runner_signalled" and one["run_id"] == "d2-crash"
    ]
    found = sorted(row["ts"] for row in rows("crashes-and-restarts", samples, host="crash"))
    assert len(sent) * 0.8 < len(found) <= len(sent)
    for number, ts in enumerate(found, 1):
        # Access lines have whole seconds, so a death may seem to be told a second before it.
        assert sum(one <= ts + timedelta(seconds=1) for one in sent) >= number


def test_crashes_agree_with_incidents(samples: duckdb.DuckDBPyConnection) -> None:
    """What a death took with it, and the streams it makes suspect, are those of the tables."""
    suspects = Counter(
        row["suspected_by"] for row in base(samples, "select suspected_by from requests where suspected_by is not null")
    )
    incidents = {row["incident_id"]: row for row in base(samples, "select * from incidents")}
    found = [row for row in rows("crashes-and-restarts", samples) if row["kind"] == "runner died"]
    assert len(found) > 20
    for row in found:
        one = incidents[row["incident_id"]]
        assert (row["lost_count"], row["code"], row["ts"]) == (one["request_count"], one["code"], one["first_ts"])
        assert row["suspected_count"] == suspects[one["root_event_id"]]
    assert sum(row["suspected_count"] for row in found) == suspects.total() > 0


# --- sessions ---------------------------------------------------------------------------------------------------------

ORIGINS = "[{}http://localhost https://localhost http://localhost:* https://localhost:* app://*]"
CONFIGS = {
    "all defaults": ("0.24.0", "OLLAMA_CONTEXT_LENGTH:0 OLLAMA_KEEP_ALIVE:5m0s OLLAMA_NUM_PARALLEL:1 OLLAMA_MODELS:/root/.ollama/models OLLAMA_ORIGINS:" + ORIGINS.format(""), []),
    "the default of another version": ("0.24.0", "OLLAMA_CONTEXT_LENGTH:4096 OLLAMA_NUM_PARALLEL:0 OLLAMA_VULKAN:true", ["OLLAMA_CONTEXT_LENGTH=4096", "OLLAMA_NUM_PARALLEL=0", "OLLAMA_VULKAN=true"]),
    "an older version": ("0.6.6", "OLLAMA_CONTEXT_LENGTH:2048 OLLAMA_NUM_PARALLEL:0 OLLAMA_DEBUG:false", []),
    "a build without a version": ("0.0.0", "OLLAMA_CONTEXT_LENGTH:4096 OLLAMA_NUM_PARALLEL:4 OLLAMA_VULKAN:true", ["OLLAMA_NUM_PARALLEL=4"]),
    "turned off": ("0.32.5", "OLLAMA_VULKAN:false OLLAMA_MAX_QUEUE:0 OLLAMA_KEEP_ALIVE:", ["OLLAMA_KEEP_ALIVE=", "OLLAMA_MAX_QUEUE=0", "OLLAMA_VULKAN=false"]),
    "a window and two origins": ("0.24.0", "CUDA_VISIBLE_DEVICES:0,1 OLLAMA_MODELS:/data/models OLLAMA_ORIGINS:" + ORIGINS.format("https://a.example * "), ["CUDA_VISIBLE_DEVICES=0,1", "OLLAMA_MODELS=/data/models", "OLLAMA_ORIGINS=https://a.example *"]),
    "of Windows": ("0.24.0", r"OLLAMA_MODELS:C:\\Users\\u\\.ollama\\models OLLAMA_FLASH_ATTENTION:true", ["OLLAMA_FLASH_ATTENTION=true"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """The runs of a server that was started once with each of the configurations."""
    log = "".join(begins(at, 0, version=version, env=env) for at, (version, env, _) in enumerate(CONFIGS.values()))
    with told(log, tmp_path_factory.mktemp("configured")) as connection:
        yield rows("sessions", connection)[::-1]


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_that_are_not_the_default(name: str, configured: Rows) -> None:
    """What a version prints when nobody has set it is left out; the rest is named with its value."""
    version, _, expected = CONFIGS[name]
    row = configured[list(CONFIGS).index(name)]
    assert (row["settings"], row["version"]) == (expected, version)


def test_sessions_agree_with_the_lines(samples: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Starts, requests, failures and loads of each log, counted in its text."""
    for name in SAMPLES:
        found = rows("sessions", samples, host=name.split("-")[0])
        text, lines = raw(name, root), access(name, root)
        starts = [datetime.fromisoformat(ts) for ts in re.findall(r'time=(\S+) .*msg="Listening on', text)]
        assert len(found) == len(starts)
        assert sum(row["request_count"] for row in found) == len(lines)
        assert sum(row["failed_count"] + row["cancelled_count"] for row in found) == sum(
            line[0] >= 400 for line in lines
        )
        assert sum(row["load_count"] - row["failed_load_count"] for row in found) == len(runners(name, root))
        for row, start in zip(reversed(found), starts, strict=True):
            assert abs(row["ts_start"] - start) < timedelta(seconds=1)
            assert row["duration_us"] == (row["ts_end"] - row["ts_start"]) / timedelta(microseconds=1)


def test_sessions_agree_with_incidents(samples: duckdb.DuckDBPyConnection) -> None:
    """The most frequent code of a run, counted by hand; a notice is none."""
    incidents = base(samples, "select session_id, code, cause from incidents where severity <> 'info'")
    for row in rows("sessions", samples):
        counts = Counter((one["code"], one["cause"]) for one in incidents if one["session_id"] == row["session_id"])
        assert row["incident_count"] == counts.total()
        (code, cause), number = max(counts.items(), key=lambda item: (item[1], item[0]))
        assert row["top_code"] == f"{code} {cause} ×{number}"
        assert row in rows("sessions", samples, code=code)


def test_a_run_whose_start_is_not_in_the_log(tmp_path: Path) -> None:
    """It says what is not known, and has no duration."""
    with told(asked(0, 5, "2s"), tmp_path) as connection:
        (row,) = rows("sessions", connection)
        assert (row["ts_start"], row["duration_us"], row["settings"], row["request_count"]) == (None, None, None, 1)
        assert row["note"].startswith("start not in the log; version not in the log; settings not in the log")


# --- latency ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requests-0.24.0.log", "queue-0.24.0.log"])
def test_percentiles_are_those_of_the_lines(name: str, samples: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Per route, answered and failed apart, from the durations as the log has them."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for status, took, route in access(name, root):
        for group in (route, "all"):
            groups[group, "answered" if status < 400 else "failed"].append(took)
    found = {
        (row["name"], row["fate"]): row
        for row in rows("latency", samples, host=name.split("-", maxsplit=1)[0], min_count=1)
    }
    assert {key: row["request_count"] for key, row in found.items()} == {
        key: len(taken) for key, taken in groups.items()
    }
    for key, taken in groups.items():
        for column, share in (("p50_us", 0.5), ("p90_us", 0.9), ("p95_us", 0.95)):
            assert found[key][column] == pytest.approx(percentile(taken, share), abs=1), (key, column)
        assert found[key]["max_us"] == pytest.approx(max(taken), abs=1)
        expected = percentile(taken, 0.99) if len(taken) >= 5 else None
        assert found[key]["p99_us"] == (pytest.approx(expected, abs=1) if expected else None)


def test_too_few_are_not_judged(samples: duckdb.DuckDBPyConnection) -> None:
    """Below min_count there is no percentile but the count and the longest; 99 % needs five times as many."""
    for row in rows("latency", samples, min_count=30):
        enough = row["timed_count"] >= 30
        assert [row[column] is not None for column in ("p50_us", "p90_us", "p95_us")] == [enough] * 3
        assert (row["p99_us"] is not None) == (row["timed_count"] >= 150)
        assert (row["note"] is None) == enough
        assert row["max_us"] is not None


def test_cold_and_warm(tmp_path: Path) -> None:
    """Two requests have the load inside, three do not; one of another route is left out by the filter."""
    log = begins(0, 0) + loading(0, 10, 20) + asked(0, 31, "22.0s") + asked(0, 32, "23.0s")
    log += (
        asked(0, 40, "1.0s") + asked(0, 50, "2.0s") + asked(0, 55, "3.0s") + asked(0, 58, "9.0s", route="/api/generate")
    )
    with told(log, tmp_path) as connection:
        (row, _) = rows("latency", connection, endpoint="/api/chat", min_count=1)
        assert (row["cold_count"], row["cold_p50_us"], row["load_p50_us"]) == (2, 22_500_000, 20_000_000)
        assert (row["warm_count"], row["warm_p50_us"]) == (3, 2_000_000)


def test_how_it_ended_keeps_requests_apart(samples: duckdb.DuckDBPyConnection) -> None:
    """Failed, cancelled and suspect requests are in no percentile of those that were answered, and none is lost."""
    fates: dict[str, list[int]] = defaultdict(list)
    for row in base(samples, "select outcome, suspected_by, duration_us from requests where is_inference"):
        bad = {"cancelled_by_client": "cancelled", "failed": "failed", "failed_before_first_byte": "failed"}
        fate = bad.get(row["outcome"], "answered" if row["suspected_by"] is None else "suspected")
        fates[fate].append(row["duration_us"])
    found = {row["fate"]: row for row in rows("latency", samples, min_count=1) if row["name"] == "all"}
    assert set(found) == set(fates) == {"answered", "suspected", "failed", "cancelled"}
    for fate, taken in fates.items():
        assert (found[fate]["request_count"], found[fate]["max_us"]) == (len(taken), max(taken))
        assert found[fate]["p50_us"] == pytest.approx(statistics.median(taken), abs=1)
    by_status = rows("latency", samples, by="status", min_count=1)
    assert sum(row["request_count"] for row in by_status if row["name"] != "all") == sum(map(len, fates.values()))


def seen_thrice() -> duckdb.DuckDBPyConnection:
    """One request that a client, a gateway and Ollama saw, one without Ollama, one that only Ollama and one that only a client saw."""
    connection = open_in_memory()
    ts, line = (
        NOW - timedelta(hours=1),
        {"endpoint": "/api/chat", "status": 200, "is_poll": False, "is_inference": True},
    )
    for number, surface, took, more in (
        (1, "ollama", 1_000_000, {}),
        (2, "gateway", 1_100_000, {"answered_by": 1}),
        (3, "ollama", 5_000_000, {}),
        (4, "gateway", 2_000_000, {"asked_by": 3}),
    ):
        insert(connection, "requests", **line, **more, request_id=number, event_id=number, ts_start=ts, ts_end=ts + timedelta(seconds=1),
               duration_us=took, outcome="not_observable", surface=surface, session_id=1)  # fmt: skip
    shared = {
        "source_id": 1,
        "load_id": 1,
        "mapping": "recorder",
        "status_source": "wire",
        "is_inference": True,
        "endpoint": "/api/chat",
    }
    for number, took_ms, first, outcome, request in (
        (1, 1200.0, 300.0, "truncated", 1),
        (2, 7000.0, 700.0, "completed", None),
        (3, 2100.0, None, "truncated", None),
    ):
        insert(connection, "calls", **shared, call_id=number, event_id=10 + number, ts_start=ts, ts_end=ts + timedelta(seconds=1),
               duration_ms=took_ms, first_chunk_ms=first, outcome=outcome, request_id=request, model="m", client="httpx 1")  # fmt: skip
    return connection


def insert(connection: duckdb.DuckDBPyConnection, table: str, **values: object) -> None:
    """One row; columns not named are NULL."""
    marks = ", ".join("?" for _ in values)
    connection.execute(f"insert into {table} ({', '.join(values)}) values ({marks})", list(values.values()))


def test_a_request_that_three_saw_counts_once() -> None:
    """At the place nearest to the model, with what the client proved of it; by surface, once at each."""
    connection = seen_thrice()
    by_route = {row["fate"]: row for row in rows("latency", connection, min_count=1) if row["name"] == "/api/chat"}
    failed, answered = by_route["failed"], by_route["answered"]
    assert (failed["request_count"], failed["max_us"], failed["surfaces"]) == (2, 2_000_000, "ollama 1, gateway 1")
    assert (answered["request_count"], answered["surfaces"]) == (2, "ollama 1, client 1")
    assert (answered["p50_us"], answered["max_us"]) == (6_000_000, 7_000_000)
    assert (answered["first_chunk_count"], answered["first_chunk_p50_us"]) == (1, 700_000)
    by_surface = Counter({row["name"]: 0 for row in rows("latency", connection, by="surface", min_count=1)})
    for row in rows("latency", connection, by="surface", min_count=1):
        by_surface[row["name"]] += row["request_count"]
    assert by_surface == {"ollama": 2, "gateway": 2, "client": 3}


# --- slow-requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_the_slowest_are_those_of_the_lines(name: str, samples: duckdb.DuckDBPyConnection, root: Path) -> None:
    """The ten longest durations of the log, with their route and status."""
    expected = sorted(access(name, root), key=lambda line: -line[1])[:10]
    found = rows("slow-requests", samples, host=name.split("-", maxsplit=1)[0], limit=10)
    assert [row["duration_us"] for row in found] == [pytest.approx(line[1], abs=1) for line in expected]
    assert [(row["status"], row["endpoint"]) for row in found] == [(line[0], line[2]) for line in expected]


def why(log: str, folder: Path) -> list[str | None]:
    """The reasons for each request of a log, slowest first."""
    with told(log, folder) as connection:
        return [row["why"] for row in rows("slow-requests", connection)]


def test_it_waited_for_a_load(tmp_path: Path) -> None:
    """The load is named with its time; the request after it has no reason."""
    log = begins(0, 0) + loading(0, 10, 20) + asked(0, 31, "22.0s") + asked(0, 58, "9.0s")
    assert why(log, tmp_path) == [f"a load: {BLOB[:19]} 20.0 s", None]


def test_it_shared_the_model_and_the_processor(tmp_path: Path) -> None:
    """Two were on their way when the last came, at a model that takes one; 13 of its 33 layers are on the CPU."""
    start = loading(0, 10, 2, layers="20/33").replace("--port", "--parallel 1 --port")
    log = begins(0, 0) + start + asked(1, 40, "60.0s") + asked(1, 50, "69.0s") + asked(2, 30, "90.0s")
    found = why(log, tmp_path)
    assert found[0] == "2 more on their way, its model takes 1 at a time; 13 of 33 layers on the CPU"


def test_layers_are_told_of_its_model_only(tmp_path: Path) -> None:
    """Where two models were loaded and nothing names that of the request, nothing is said of layers."""
    log = (
        begins(0, 0)
        + loading(0, 10, 2, layers="20/33")
        + loading(0, 20, 2, blob=OTHER, layers="0/9")
        + asked(2, 0, "60.0s")
    )
    assert why(log, tmp_path) == [None]


def test_it_failed_and_says_of_what(samples: duckdb.DuckDBPyConnection) -> None:
    """The cause of a failed request stands first, and a load that came to nothing is told."""
    found = rows("slow-requests", samples, code="MEM021", limit=50)
    titles = {row["code"]: row["title"].rstrip(".") for row in base(samples, "select code, title from causes")}
    assert found
    assert all(row["why"].startswith(titles["MEM021"]) for row in found)
    assert any("a load that came to nothing" in row["why"] for row in found)


# --- all of them ------------------------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>'; drop table events; -- \x1b[31m[red]|\n%s{}"


@pytest.mark.parametrize("name", REPORTS)
def test_runs_on_an_empty_store(name: str) -> None:
    """Nothing to tell is an empty table in every form."""
    result = run(name, connection=open_in_memory(), now=NOW)
    assert result.frame.height == 0
    assert result.frame.columns == [column.name for column in result.columns]


@pytest.mark.parametrize("name", REPORTS)
def test_hostile_text_is_only_text(name: str) -> None:
    """A host, a model and a version that try to be something else come out as they went in, as a value and as a filter."""
    connection, ts = open_in_memory(), NOW - timedelta(hours=1)
    end = ts + timedelta(minutes=1)
    insert(connection, "sources", source_id=1, uri=HOSTILE, wrapper="plain", host=HOSTILE, encoding="utf-8", compression="none", byte_count=1,
           line_count=1, head_digest="a", content_digest="a", stream_id=1)  # fmt: skip
    insert(connection, "server_sessions", session_id=1, source_id=1, host=HOSTILE, version=HOSTILE, ts_start=ts, ts_end=end, end_reason="crashed",
           config={"OLLAMA_X": HOSTILE}, devices=[HOSTILE], first_event_id=1, last_event_id=9)  # fmt: skip
    insert(connection, "model_loads", load_seq=2, session_id=1, source_id=1, ts_start=ts, ts_end=ts, duration_us=5, model=HOSTILE, outcome="loaded",
           first_event_id=2, last_event_id=3)  # fmt: skip
    insert(connection, "gpu_memory", event_id=4, source_id=1, session_id=1, ts=ts, device_id=HOSTILE, name=HOSTILE, free_bytes=7, source="gpu_memory")  # fmt: skip
    insert(connection, "requests", request_id=1, event_id=5, session_id=1, ts_start=ts, ts_end=end, duration_us=60_000_000, status=200, endpoint=HOSTILE,
           model=HOSTILE, outcome="not_observable", is_poll=False, is_inference=True, surface="ollama")  # fmt: skip
    given = {"host": HOSTILE, "model": HOSTILE, "endpoint": HOSTILE}
    known = catalogue.find(name).params
    params = {key: value for key, value in given.items() if key in known and name != "crashes-and-restarts"}
    result = run(name, connection=connection, params=params, now=NOW)
    assert result.frame.height >= 1
    assert HOSTILE in str(result.frame.to_dicts()[0].values()) or repr(HOSTILE)[1:-1] in str(result.frame.to_dicts()[0])
    assert connection.execute("select count(*) from requests").fetchall() == [(1,)]


@pytest.mark.parametrize("name", REPORTS)
def test_periods_and_hosts_part_the_rows(name: str, samples: duckdb.DuckDBPyConnection) -> None:
    """No row of a host that is not there or of a time before the log."""
    assert rows(name, samples, host="nobody") == []
    assert rows(name, samples, until=datetime(2020, 1, 1, tzinfo=UTC)) == []
    assert rows(name, samples, since=datetime(2020, 1, 1, tzinfo=UTC)) == rows(name, samples)
