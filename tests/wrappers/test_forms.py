"""The matrix of forms: one log of a real server, written in every form, says the same in each of them.

``FORMS`` holds a small writer per form and what the form cannot carry; the outputs of a real journalctl in
``sample_logs/forms`` and ``tests/data/forms`` are held against the file of the same server.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import polars as pl
import pytest
from support.folders import ROOT
from support.needs import journal_remote, needs

from erranalytics import schema
from erranalytics.classification import rulebook
from erranalytics.classification.classifier import Memo
from erranalytics.ingestion import pipeline
from erranalytics.parsing import lineformats
from erranalytics.sources.files import Source, from_bytes, open_source
from erranalytics.sources.lines import BLOCK_BYTES, read_blocks
from erranalytics.wrappers import forms, unwrapping
from erranalytics.wrappers.unwrapping import WrapState

# A server that runs out of memory: start, loads, panics with their dumps, access lines, 2 blank lines among them.
CAPTURE = (ROOT / "sample_logs/server/oom-0.24.0.log").read_text(encoding="utf-8").splitlines()[:420]
START = datetime(2026, 11, 21, 2, 7, 16, 123457, tzinfo=UTC)
LOCAL = timedelta(hours=8)

Lines = list[str]


def at(n: int) -> datetime:
    """The time of a line, in UTC."""
    return START + timedelta(milliseconds=15 * n)


def each(head: Callable[[datetime], str]) -> Callable[[Lines], str]:
    """A writer that puts a head before every line."""
    return lambda lines: "".join(f"{head(at(n))}{line}\n" for n, line in enumerate(lines))


def local(form: str) -> Callable[[Lines], str]:
    """A writer with a head of local time, as strftime understands it."""
    return each(lambda t: (t + LOCAL).strftime(form))


def utc(form: str) -> Callable[[Lines], str]:
    """A writer with a head of UTC."""
    return each(lambda t: t.strftime(form))


def fields(n: int, line: str) -> dict[str, str]:
    """An entry of the journal."""
    return {
        "__CURSOR": f"s=8ce5;i={n:x};b=6f0c;m={n:x};t={int(at(n).timestamp() * 1e6):x};x=1",
        "__REALTIME_TIMESTAMP": str(round(at(n).timestamp() * 1e6)),
        "_TRANSPORT": "stdout",
        "_STREAM_ID": "889fd790",
        "_HOSTNAME": "gpu01",
        "SYSLOG_IDENTIFIER": "ollama",
        "_PID": "42",
        "_SYSTEMD_UNIT": "ollama.service",
        "MESSAGE": line,
    }


def objects(lines: Lines, *, as_bytes: int = 0) -> list[str]:
    """``journalctl -o json`` with its random order of keys; every so many messages as bytes."""
    shuffle = random.Random(1).sample
    made = []
    for n, line in enumerate(lines):
        entry = dict(shuffle(list(fields(n, line).items()), 9))
        value = list(line.encode()) if as_bytes and n % as_bytes == 0 else line
        made.append(json.dumps(entry | {"MESSAGE": value}, ensure_ascii=False, separators=(",", ":")))
    return made


def split_entries(lines: Lines, *, size: int = 300) -> str:
    """The same, with lines split as LineMax= does, across which another stream writes."""
    made = []
    for n, line in enumerate(lines):
        pieces = [line[i : i + size] for i in range(0, len(line), size)] or [""]
        for piece in pieces[:-1]:
            made += [fields(n, piece) | {"_LINE_BREAK": "line-max"}]
        made.append(fields(n, pieces[-1]))
    return "".join(json.dumps(one) + "\n" for one in made)


def pretty(lines: Lines) -> str:
    """``journalctl -o json-pretty``."""
    entries = [
        [f"\t{json.dumps(k)} : {json.dumps(v)}" for k, v in fields(n, line).items()] for n, line in enumerate(lines)
    ]
    return "".join("{\n" + ",\n".join(one) + "\n}\n" for one in entries)


def export(lines: Lines, *, binary: int = 0) -> bytes:
    """``journalctl -o export``; every so many messages with its length, as those that are no printable text."""
    made = []
    for n, line in enumerate(lines):
        for name, value in fields(n, line).items():
            data = value.encode()
            if name == "MESSAGE" and binary and n % binary == 0:
                made.append(b"MESSAGE\n" + len(data).to_bytes(8, "little") + data)
            else:
                made.append(f"{name}=".encode() + data)
        made.append(b"")
    return b"\n".join(made) + b"\n"


def verbose(lines: Lines) -> str:
    """``journalctl -o verbose``."""
    made = []
    for n, line in enumerate(lines):
        entry = fields(n, line)
        made.append((at(n) + LOCAL).strftime("%a %F %T.%f CST [") + entry.pop("__CURSOR") + "]")
        made += [f"    {name}={value}" for name, value in entry.items() if name != "__REALTIME_TIMESTAMP"]
    return "\n".join(made) + "\n"


def docker(lines: Lines, *, size: int = 200) -> str:
    """docker's json-file, with small pieces."""
    made = []
    for n, line in enumerate(lines):
        text, stamp = line + "\n", at(n).strftime("%FT%T.%f000Z")
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        made += [json.dumps({"log": piece, "stream": "stderr", "time": stamp}) for piece in pieces]
    return "\n".join([*made, ""])


def cri(lines: Lines, *, size: int = 200) -> str:
    """The file of a container in Kubernetes, with partial lines and another stream between them."""
    made = []
    for n, line in enumerate(lines):
        pieces = [line[i : i + size] for i in range(0, len(line), size)] or [""]
        tags = ["P"] * (len(pieces) - 1) + ["F"]
        made += [
            at(n).strftime(f"%FT%T.%f000Z stderr {tag} {piece}\n")
            for tag, piece in zip(tags, (p.replace("%", "%%") for p in pieces), strict=True)
        ]
    return "".join(made)


def powershell(lines: Lines, *, width: int = 119) -> bytes:
    """What Windows PowerShell 5.1 makes of it: UTF-16, standard error broken at the width of the window."""
    made: Lines = []
    for n, line in enumerate(lines):
        rest = f"ollama : {line}" if n == 0 else line
        while len(rest) > width and not line.startswith("[GIN] "):
            cut = rest.rfind(" ", 0, width) + 1 or width
            made.append(rest[:cut])
            rest = rest[cut:]
        made.append(rest)
        if n == 0:
            made += ["At line:1 char:1", "+ ollama serve *> o.log", "+ ~~~~~~~~~~~~~~~~~~~~~"]
            made += ["    + CategoryInfo          : NotSpecified: (time=2026:String) [], RemoteException"]
            made += ["    + FullyQualifiedErrorId : NativeCommandError", " "]
    return "\r\n".join([*made, ""]).encode("utf-16")


@dataclass(frozen=True)
class Form:
    """How to write a form, the stack it is detected as, and what it cannot carry.

    ``drops``: ``blanks`` (lines without text and blanks at the end of lines), ``frame`` (it adds lines of its own),
    ``indent`` (lines that begin with blanks may look like the rest of another).
    """

    write: Callable[[Lines], str | bytes]
    wrapper: str
    drops: tuple[str, ...] = ()
    clock: str | None = None
    unit: str | None = None


JOURNAL = ("blanks",)
HOST = "gpu01 ollama[42]: "
FORMS = {
    "short": Form(local(f"%b %d %T {HOST}"), "journald-short", JOURNAL, "journal short", "ollama"),
    "short, no hostname": Form(local("%b %d %T ollama[42]: "), "journald-short", JOURNAL, "journal short", "ollama"),
    "short, in French": Form(local(f"nov. %d %T {HOST}"), "journald-short", JOURNAL, "journal short", "ollama"),
    "short, in Japanese": Form(local(f"11月 %d %T {HOST}"), "journald-short", JOURNAL, "journal short", "ollama"),
    "short-precise": Form(local(f"%b %d %T.%f {HOST}"), "journald-short-precise", JOURNAL, "journal short", "ollama"),
    "short-iso": Form(local(f"%FT%T+0800 {HOST}"), "journald-short-iso", JOURNAL, "journal rfc3339", "ollama"),
    "short-iso, newer": Form(local(f"%FT%T+08:00 {HOST}"), "journald-short-iso", JOURNAL, "journal rfc3339", "ollama"),
    "short-iso-precise": Form(local(f"%FT%T.%f+0800 {HOST}"), "journald-short-iso-precise", JOURNAL, "journal rfc3339", "ollama"),
    "short-full": Form(local(f"%a %F %T CST {HOST}"), "journald-short-full", JOURNAL, "journal naive", "ollama"),
    "short-full, UTC": Form(utc(f"%a %F %T UTC {HOST}"), "journald-short-full", JOURNAL, "journal rfc3339", "ollama"),
    "with-unit": Form(local("%a %F %T CST gpu01 ollama.service[42]: "), "journald-with-unit", JOURNAL, "journal naive", "ollama.service"),
    "short-unix": Form(each(lambda t: f"{t.timestamp():.6f} {HOST}"), "journald-short-unix", JOURNAL, "journal unix", "ollama"),
    "short-monotonic": Form(each(lambda t: f"[{(t - START).total_seconds() + 9999:.6f}] {HOST}"), "journald-short-monotonic", JOURNAL, "journal monotonic", "ollama"),
    "short-delta": Form(each(lambda t: f"[{(t - START).total_seconds() + 9999:12.6f} <    0.015000 >] {HOST}"), "journald-short-delta", JOURNAL, "journal monotonic", "ollama"),
    "json": Form(lambda lines: "\n".join(objects(lines)) + "\n", "journald-json", JOURNAL, "journal unix-us", "ollama"),
    "json, bytes": Form(lambda lines: "\n".join(objects(lines, as_bytes=3)) + "\n", "journald-json", JOURNAL, "journal unix-us", "ollama"),
    "json, split": Form(split_entries, "journald-json", JOURNAL, "journal unix-us", "ollama"),
    "json-sse": Form(lambda lines: "".join(f"data: {one}\n\n" for one in objects(lines)), "journald-json-sse", JOURNAL, "journal unix-us", "ollama"),
    "json-seq": Form(lambda lines: "".join(f"\x1e{one}\n" for one in objects(lines)), "journald-json-seq", JOURNAL, "journal unix-us", "ollama"),
    "json-pretty": Form(pretty, "journald-json-pretty", JOURNAL, "journal unix-us", "ollama"),
    "export": Form(export, "journald-export", JOURNAL, "journal unix-us", "ollama"),
    "export, binary": Form(lambda lines: export(lines, binary=3), "journald-export", JOURNAL, "journal unix-us", "ollama"),
    "verbose": Form(verbose, "journald-verbose", JOURNAL, "journal unix-us", "ollama"),
    "docker json-file": Form(docker, "docker-json", (), "docker rfc3339"),
    "docker logs -t": Form(utc("%FT%T.%f000Z "), "docker", (), "docker rfc3339"),
    "compose": Form(each(lambda _: "ollama-1  | "), "compose", (), None, "ollama-1"),
    "compose --timestamps": Form(utc("ollama-1  | %FT%T.%f000Z "), "compose+docker", (), "docker rfc3339", "ollama-1"),
    "service logs": Form(each(lambda _: "ollama.1.k2x9wq7v5t3r1p8n6m4b0c2z7@gpu01    | "), "swarm", (), None, "ollama.1.k2x9wq7v5t3r1p8n6m4b0c2z7"),
    "cri": Form(cri, "cri", (), "docker rfc3339"),
    "kubectl --prefix": Form(each(lambda _: "[pod/llm-0/ollama] "), "kubectl", (), None, "ollama"),
    "kubectl --prefix --timestamps": Form(utc("[pod/llm-0/ollama] %FT%T.%f123Z "), "kubectl+docker", (), "docker rfc3339", "ollama"),
    "pm2": Form(each(lambda _: "0|ollama  | "), "pm2", (), None, "ollama"),
    "pm2 --time": Form(local("0|ollama  | %FT%T: "), "pm2+stamp", (), "stamp naive", "ollama"),
    "ts": Form(local("%F %T "), "stamp", (), "stamp naive"),
    "ts, brackets": Form(utc("[%FT%TZ] "), "stamp", (), "stamp rfc3339"),
    "ts, bar": Form(local("%F %T.%f | "), "stamp", (), "stamp naive"),
    "ts, no year": Form(local("%b %d %T "), "stamp-short", (), "stamp naive"),
    "glued stamp": Form(utc("%F %T.%f+00:00"), "glued-stamp", (), "stamp rfc3339"),
    "journal of compose": Form(local("%b %d %T gpu01 docker-compose[7]: ollama-1  | "), "journald-short+compose", JOURNAL, "journal short", "ollama-1"),
    "PowerShell": Form(powershell, "powershell", ("blanks", "frame", "indent")),
}  # fmt: skip


def kept(lines: Iterable[str], form: Form) -> Lines:
    """The lines as far as a form can carry them."""
    lines = [line.rstrip() for line in lines if line.strip()] if "blanks" in form.drops else list(lines)
    return [line for line in lines if not line.startswith((" ", "\t"))] if "indent" in form.drops else lines


@pytest.fixture(autouse=True)
def _spool_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is spooled here goes with the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def opened(data: str | bytes) -> Source:
    """A text as a source."""
    return from_bytes(data.encode() if isinstance(data, str) else data)


def unwrap(source: Source, *, block_bytes: int = BLOCK_BYTES) -> tuple[str, pl.DataFrame]:
    """The wrapper of a source and its BODIES."""
    wrapper = unwrapping.detect(source.text_sample())
    state, parts = WrapState(wrapper), []
    for block in read_blocks(source, block_bytes=block_bytes):
        is_last = block.digest is not None
        lines = block.lines if block.tail is None else pl.concat([block.lines, block.tail])
        bodies, state = unwrapping.unwrap(lines, state, is_last=is_last)
        parts.append(bodies)
    bodies = pl.concat(parts)
    assert bodies.schema == schema.BODIES
    return wrapper, bodies


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_lines_of_the_plain_file(name: str) -> None:
    """Bodies, kind of stamp and unit; host and process where the form has them."""
    form = FORMS[name]
    lines = kept(CAPTURE, form)
    wrapper, bodies = unwrap(opened(form.write(lines)))
    if "frame" in form.drops:
        bodies = bodies.filter(~pl.col("body").str.contains(r"^(?: *\+ .*|At line.*| )$"))
    assert wrapper == form.wrapper
    assert bodies["body"].to_list() == lines
    assert bodies["clock"].unique().to_list() == [form.clock]
    assert bodies["unit"].unique().to_list() == [form.unit]
    if "journal" in (form.clock or "") and "hostname" not in name:
        assert bodies["host"].unique().to_list() == ["gpu01"]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_may_be_cut_anywhere(name: str) -> None:
    """Small blocks give the same bodies."""
    data = FORMS[name].write(kept(CAPTURE[:60], FORMS[name]))
    whole = unwrap(opened(data))[1]
    for block_bytes in (500, 3000):
        assert unwrap(opened(data), block_bytes=block_bytes)[1].equals(whole)


def test_every_layer_is_in_the_matrix() -> None:
    """A form that is added here or there is added on the other side too."""
    written = set(chain.from_iterable(form.wrapper.split("+") for form in FORMS.values()))
    assert written | {"stamp-slash"} == {wrapper.name for wrapper in forms.WRAPPERS}


# --- events --------------------------------------------------------------------------------------------------------

MEMO = Memo()
SAID = ["format", "level", "component", "message", "attrs", "code", "status", "path", "duration_us"]


def events(data: str | bytes) -> pl.DataFrame:
    """The judged events of a source."""
    source = opened(data)
    state = pipeline.first_state(source, default_tz="Asia/Shanghai")
    book, rules = lineformats.load(), rulebook.load()
    batches = pipeline.run(source, state=state, start=0, formats=book, rules=rules, memo=MEMO)
    return pl.concat([batch.events for batch in batches])


@pytest.mark.parametrize("name", [name for name in FORMS if name != "PowerShell"])
def test_every_form_gives_the_events_of_the_plain_file(name: str) -> None:
    """The text, its meaning, and its time where the line itself has one."""
    form = FORMS[name]
    lines = kept(CAPTURE, form)
    expected, found = events("\n".join(lines) + "\n"), events(form.write(lines))
    assert found.select(SAID).equals(expected.select(SAID))
    is_told = expected["ts_source"].is_in(["slog", "gin+offset"])
    assert found.filter(is_told).select("ts", "ts_source").equals(expected.filter(is_told).select("ts", "ts_source"))
    if form.clock:
        assert found["ts_source"].is_in(["inherited", "file", "none"]).sum() == 0


# --- what a real journalctl printed --------------------------------------------------------------------------------

REAL = {
    "journal-short-precise.log": "journald-short-precise",
    "journal-short-iso.log": "journald-short-iso",
    "journal-short-iso-precise.log": "journald-short-iso-precise",
    "journal-short-full.log": "journald-short-full",
    "journal-short-full-utc.log": "journald-short-full",
    "journal-short-unix.log": "journald-short-unix",
    "journal-short-monotonic.log": "journald-short-monotonic",
    "journal-with-unit.log": "journald-with-unit",
    "journal-no-hostname.log": "journald-short",
    "journal-verbose.log": "journald-verbose",
    "journal.export": "journald-export",
    "journal-all.json": "journald-json",
    "journal.json.gz": "journald-json",
}
SERVER = [line.rstrip() for line in (ROOT / "sample_logs/forms/server.log").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", REAL)
def test_outputs_of_a_real_journalctl(name: str) -> None:
    """systemd 252 wrote them of one journal: their bodies are a stretch of the file that the server itself wrote."""
    folder = next(one for one in ("sample_logs/forms", "tests/data/forms") if (ROOT / one / name).exists())
    wrapper, bodies = unwrap(open_source(str(ROOT / folder / name)))
    assert wrapper == REAL[name]
    assert "\n".join(bodies["body"]) + "\n" in "\n".join([*SERVER, ""])
    assert bodies["unit"].unique().to_list() in (["ollama"], ["ollama.service"])
    assert bodies["pid"].null_count() == 0


MODES = [mode.name.removeprefix("journald-") for mode in forms.WRAPPERS if mode.name.startswith("journald-")]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of this machine's systemd with the capture in it, one message of several lines and one of bytes."""
    needs("journalctl")
    path = tmp_path_factory.mktemp("journal") / "capture.journal"
    lines = [*kept(CAPTURE, FORMS["export"]), "panic: one\n\tgoroutine 1\n\nend", "\x1b[31mred\x1b[0m"]
    boot = b"_BOOT_ID=6f0c2e5b1d8a4c0e9b7a3d52f4e81c90\n_MACHINE_ID=2c9f6e0a5b7d4831a6c2e9f0d1b84a37\n"
    data = export(lines[:-2]) + export(lines[-2:], binary=1)
    data = data.replace(b"_TRANSPORT=", boot + b"__MONOTONIC_TIMESTAMP=265148416118\n_TRANSPORT=")
    subprocess.run([str(journal_remote()), "-o", str(path), "-"], input=data, capture_output=True, check=True)
    return path


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_this_machine_s_journalctl(journal: Path, mode: str) -> None:
    """All bodies come back, also messages of several lines; short modes show bytes only with -a."""
    command = ["journalctl", "--file", str(journal), "-o", mode, "--no-pager", "-a"]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    wrapper, bodies = unwrap(opened(output))
    found = [body for body in bodies["body"].to_list() if not body.startswith("-- ")]
    expected = [*kept(CAPTURE, FORMS["export"]), "panic: one", "\tgoroutine 1", "", "end", "red"]
    assert wrapper == f"journald-{mode}"
    assert found == expected
