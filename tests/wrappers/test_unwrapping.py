"""Wrappers are taken off lines, recognised by the shape of each line, wherever the input is cut."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erranalytics import schema
from erranalytics.wrappers import forms, unwrapping
from erranalytics.wrappers.unwrapping import LOST_MESSAGE, WrapState

SLOG = "time=2026-01-01T00:00:00.000Z level=INFO source=a.go:1 msg=hello"
GIN = '[GIN] 2026/01/01 - 00:00:01 | 200 |   1.5ms |       127.0.0.1 | POST     "/api/chat"'
SHORT = "Mar 01 08:00:00 gpu01 ollama[42]: "
SAMPLES = {wrapper.name: wrapper.sample for wrapper in forms.WRAPPERS}


def as_lines(text: str) -> pl.DataFrame:
    """Text as LINES."""
    raw = text.split("\n")
    return pl.DataFrame({"line_no": range(1, len(raw) + 1), "raw": raw}, schema=schema.LINES)


def unwrap(text: str, *, wrapper: str | None = None, cuts: tuple[int, ...] = ()) -> pl.DataFrame:
    """BODIES of a text, given at once or cut behind some lines."""
    lines, state = as_lines(text), WrapState(wrapper or unwrapping.detect(text))
    parts, start = [], 0
    for end in (*cuts, lines.height):
        is_last = end == lines.height
        part, state = unwrapping.unwrap(lines.slice(start, end - start), state, is_last=is_last)
        state = WrapState.from_json(json.loads(json.dumps(state.as_json()))) if state.pending is None else state
        parts.append(part)
        start = end
    bodies = pl.concat(parts)
    assert bodies.schema == schema.BODIES
    assert bodies["line_no"].is_sorted()
    return bodies


def bodies_of(text: str, *, wrapper: str | None = None) -> list[str]:
    """The bodies of a text."""
    return unwrap(text, wrapper=wrapper)["body"].to_list()


# --- every form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_every_form_is_told_by_its_sample(name: str) -> None:
    """The sample of the documentation is detected as its form."""
    assert unwrapping.detect(SAMPLES[name]) == name


@pytest.mark.parametrize("name", SAMPLES)
def test_every_form_gives_the_line_back(name: str) -> None:
    """What Ollama wrote is whole, and the stamp is of the kind that the form declares."""
    bodies = unwrap(SAMPLES[name])
    assert bodies["body"][0] == "time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 msg=ready"
    declared = forms.BY_NAME[name].clock
    assert bodies["clock"][0] in {declared, (declared or "").replace("naive", "rfc3339")} - {""}


def test_clocks_are_those_of_the_forms() -> None:
    """Every kind of stamp has a form."""
    assert {wrapper.clock for wrapper in forms.WRAPPERS if wrapper.clock} | {"stamp rfc3339"} == set(unwrapping.CLOCKS)


def test_what_is_plain() -> None:
    """Ollama's own lines carry nothing."""
    lines = [SLOG, GIN, "2024/08/16 07:56:25 routes.go:1125: INFO server config", "llama_kv_cache: size = 1 MiB", ""]
    assert unwrapping.detect("\n".join(lines)) == "plain"
    assert bodies_of("\n".join(lines)) == lines


def test_evidence_counts_lines() -> None:
    """How many lines carry which wrappers, of how many."""
    text = "\n".join([*[SHORT + SLOG] * 3, f"{SHORT}ollama-1  | {SLOG}", "-- No entries --", ""])
    assert unwrapping.evidence(text) == [("journald-short", 3, 5), ("journald-short+compose", 1, 5), ("plain", 1, 5)]


# --- journalctl as text --------------------------------------------------------------------------------------------

STAMPS = [
    ("Mar 01 08:00:00", "Mar 01 08:00:00", "journal short"),
    ("Mar  1 08:00:00", "Mar  1 08:00:00", "journal short"),
    ("oct 11 15:40:01", "oct 11 15:40:01", "journal short"),
    ("déc. 11 15:40:01", "déc. 11 15:40:01", "journal short"),
    ("févr. 01 15:40:01.123456", "févr. 01 15:40:01.123456", "journal short"),
    ("7月 01 15:40:01", "7月 01 15:40:01", "journal short"),
    (" 7月 01 15:40:01", " 7月 01 15:40:01", "journal short"),
    ("2026-03-01T19:04:05+0800", "2026-03-01T19:04:05+0800", "journal rfc3339"),
    ("2026-03-01T19:04:05+08:00", "2026-03-01T19:04:05+08:00", "journal rfc3339"),
    ("2026-03-01T19:04:05.416409-0330", "2026-03-01T19:04:05.416409-0330", "journal rfc3339"),
    ("Sun 2026-03-01 19:04:05 CST", "2026-03-01 19:04:05", "journal naive"),
    ("Sun 2026-03-01 11:04:05 UTC", "2026-03-01T11:04:05Z", "journal rfc3339"),
    ("So. 2026-03-01 11:04:05 GMT", "2026-03-01T11:04:05Z", "journal rfc3339"),
    ("Sun 2026-03-01 19:04:05 +08", "2026-03-01T19:04:05+08:00", "journal rfc3339"),
    ("1772363045.416409", "1772363045.416409", "journal unix"),
    ("[21415.215982]", "21415.215982", "journal monotonic"),
    ("[   15.215982]", "15.215982", "journal monotonic"),
    ("[21415.215982                ]", "21415.215982", "journal monotonic"),
    ("[21416.415982 <    1.200000 >]", "21416.415982", "journal monotonic"),
]
PROCESSES = [
    ("gpu01 ollama[42]", ("gpu01", "ollama", 42)),
    ("ollama[42]", (None, "ollama", 42)),
    ("gpu-01.lan org.freedesktop.x-y@1[7]", ("gpu-01.lan", "org.freedesktop.x-y@1", 7)),
    ("gpu01 kernel", ("gpu01", "kernel", None)),
    ("kernel", (None, "kernel", None)),
]


@pytest.mark.parametrize(("text", "stamp", "clock"), STAMPS)
@pytest.mark.parametrize(("process", "parts"), PROCESSES)
def test_text_modes_of_journalctl(
    text: str, stamp: str, clock: str, process: str, parts: tuple[str | None, str, int | None]
) -> None:
    """Stamp, host, program and process are taken off, among many such lines or alone among others."""
    line = f"{text} {process}: Out of [x]: y"
    for log in (line, "\n".join([GIN] * 3 + [line]), "\n".join([SHORT + SLOG] * 3 + [line])):
        found = unwrap(log).row(-1, named=True)
        assert (found["stamp"], found["clock"], found["body"]) == (stamp, clock, "Out of [x]: y")
        assert (found["host"], found["unit"], found["pid"]) == parts


def test_lines_of_journalctl_itself_have_no_stamp() -> None:
    """Boots, cursors and old headers pass as they are."""
    notes = [
        "-- Boot 7d7c6013a26343b29e964691ff25d04d --",
        "-- Logs begin at Wed 2016-12-14 13:01:19 EST, end at Thu 2017-02-02 07:30:04 EST. --",
        "-- cursor: s=23;i=1",
    ]
    bodies = unwrap("\n".join([notes[0], notes[1], SHORT + SLOG, notes[2]]))
    assert bodies["body"].to_list() == [notes[0], notes[1], SLOG, notes[2]]
    assert bodies["stamp"].null_count() == 3


@pytest.mark.parametrize("head", ["Mar 01 08:00:00 gpu01 ollama[42]: ", "7月 01 08:00:00 gpu01 ollama[42]: "])
def test_further_lines_of_a_message_hang_on_its_first(head: str) -> None:
    """They are indented by the bytes of the prefix and have what the first line has; other indents are text."""
    indent = " " * len(head.encode())
    text = "\n".join([head + "panic: a", indent + "  goroutine 1", indent, "          not hung", indent + "neither"])
    bodies = unwrap(text, wrapper="journald-short")
    assert bodies["body"].to_list() == ["panic: a", "  goroutine 1", "", "          not hung", indent + "neither"]
    assert bodies["pid"].to_list() == [42, 42, 42, None, None]


def test_stamps_before_runner_lines_are_no_programs() -> None:
    """A function of llama.cpp is not taken for a program that writes to the journal."""
    line = "llama_model_loader: - kv   0: general.architecture str = llama"
    assert bodies_of(f"Mar 05 08:58:54 {SLOG}\nMar 05 08:58:54 {line}") == [SLOG, line]


# --- the journal as objects and entries ----------------------------------------------------------------------------


def entry(message: str, **more: str) -> str:
    """An entry of ``journalctl -o json``; the message is JSON."""
    fields = {"__REALTIME_TIMESTAMP": '"1795226483276087"', "_HOSTNAME": '"gpu01"', "SYSLOG_IDENTIFIER": '"ollama"'}
    fields |= {"_PID": '"7"', "MESSAGE": message} | more
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


MESSAGES = [
    ('"a \\"b\\" µ\\t"', ['a "b" µ\t']),
    ("[104,105]", ["hi"]),
    ("[27,91,51,49,109,104,27,91,48,109,255]", ["h\ufffd"]),
    ("[104, 10, 105]", ["h", "i"]),
    ("null", [LOST_MESSAGE]),
    ('"one\\ntwo\\n"', ["one", "two"]),
    ('["first","second"]', ["first"]),
    ('""', [""]),
]


@pytest.mark.parametrize(("message", "bodies"), MESSAGES)
def test_messages_of_the_journal(message: str, bodies: list[str]) -> None:
    """Text, bytes, text of several lines, a field that stands twice, and what was too long."""
    found = unwrap("\n".join([entry('"x"'), entry(message), entry('"y"')]))
    assert found["body"].to_list() == ["x", *bodies, "y"]
    assert found["pid"].to_list() == [7] * found.height
    assert found["line_no"].to_list() == [1, *[2] * len(bodies), 3]


def test_damaged_objects_keep_their_text_beside_them() -> None:
    """A line that is not an entry stays a line; an entry that was cut gives the fields it has."""
    text = "\n".join([entry('"a"'), "not json", entry('"b"')[:-20], entry('"c"', _PID='["8","9"]')])
    bodies = unwrap(text)
    assert bodies["body"].to_list()[:2] == ["a", "not json"]
    assert bodies.row(-1)[5:] == (8, "c")


def test_the_identifier_names_the_unit() -> None:
    """Without it the unit of systemd does."""
    text = entry('"a"').replace('"SYSLOG_IDENTIFIER":"ollama"', '"_SYSTEMD_UNIT":"ollama.service"')
    assert unwrap(text)["unit"].to_list() == ["ollama.service"]


def test_lines_that_journald_split_are_whole_again() -> None:
    """Pieces of one stream are joined, over those of another; without a stream the process counts."""
    split = {"_LINE_BREAK": '"line-max"'}
    for key in ({"_STREAM_ID": '"ab1"'}, {}):
        other = entry('"other"', _PID='"8"', **({"_STREAM_ID": '"ab2"'} if key else {}))
        text = "\n".join(
            [entry('"one "', **key, **split), other, entry('"two "', **key, **split), entry('"three"', **key)]
        )
        assert bodies_of(text) == ["one two three", "other"]


BINARY = [("two\nlines", b"\x09"), ("x" * 40 + "\n" + "y" * 259, b"\x2c\x01"), ("a\nb" + "c" * 197, b"\xc8")]


@pytest.mark.parametrize(("message", "length"), BINARY)
def test_binary_fields_of_an_export(message: str, length: bytes) -> None:
    """Text of many lines stands behind its length, of which the reader of lines took the NULs."""
    head = "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1772363045416409\n_HOSTNAME=gpu01\n"
    text = f"{head}MESSAGE\n{length.decode(errors='replace')}{message}\nSYSLOG_IDENTIFIER=ollama\n_PID=7\n\n"
    bodies = unwrap(text * 2 + SLOG)
    assert bodies["body"].to_list() == [*message.split("\n") * 2, SLOG]
    assert bodies["pid"].to_list() == [7] * 2 * len(message.split("\n")) + [None]


def test_verbose_entries_with_fields_of_many_lines() -> None:
    """The time is that of the cursor, which names no zone; further lines are indented."""
    head = "Sun 2026-03-01 19:04:05.416409 CST [s=23;i=1;b=7d;m=4f;t=64bf4a4c6f719;x=9a]"
    fields = "    _HOSTNAME=gpu01\n    _SYSTEMD_UNIT=ollama.service\n    MESSAGE=panic: a\n              b\n    _PID=7"
    bodies = unwrap(f"{head}\n{fields}\n{SLOG}")
    assert bodies["body"].to_list() == ["panic: a", "  b", SLOG]
    assert bodies.row(0)[1:6] == (str(0x64BF4A4C6F719), "journal unix-us", "gpu01", "ollama.service", 7)


def test_objects_of_other_programs_stay_as_they_are() -> None:
    """Only an object with the fields of the journal is an entry."""
    text = '{\n\t"a" : 1\n}\n' + SLOG
    assert bodies_of(text) == ["{", '\t"a" : 1', "}", SLOG]


# --- containers ----------------------------------------------------------------------------------------------------


def test_pieces_of_containers_are_joined_by_stream() -> None:
    """docker cuts at 16 KiB, CRI marks a piece with P; the streams may lie across each other."""
    docker = [
        '{"log":"one ","stream":"stderr","time":"2026-03-01T11:04:05.1Z"}',
        '{"time":"2026-03-01T11:04:05.2Z","stream":"stdout","log":"other\\n"}',
        '{"log":"two\\n","stream":"stderr","time":"2026-03-01T11:04:05.3Z"}',
    ]
    cri = [
        f"2026-03-01T11:04:05.{n}+08:00 {rest}"
        for n, rest in enumerate(["stderr P one ", "stdout F other", "stderr F two"])
    ]
    for lines in (docker, cri):
        bodies = unwrap("\n".join(lines))
        assert bodies.select("line_no", "body").rows() == [(1, "one two"), (2, "other")]
        assert bodies["clock"].unique().to_list() == ["docker rfc3339"]


def test_containers_of_a_compose_file() -> None:
    """In a log of compose every container is taken off; elsewhere only one that wrote a line of Ollama before."""
    compose = "\n".join(["web-1       | GET / 200", f"ollama-1    | {SLOG}", "ollama-1    |", "web-1       |   x | y"])
    assert unwrap(compose).select("unit", "body").rows() == [
        ("web-1", "GET / 200"), ("ollama-1", SLOG), ("ollama-1", ""), ("web-1", "  x | y")
    ]  # fmt: skip
    mixed = "\n".join([SLOG] * 5 + ["ollama-1  | early", f"ollama-1  | {SLOG}", "ollama-1  | late", "name  | count"])
    assert bodies_of(mixed)[5:] == ["ollama-1  | early", SLOG, "late", "name  | count"]


# --- stamps of other programs --------------------------------------------------------------------------------------

DOUBLE = [
    (f"2025-03-05 08:58:54 {SLOG}", "2025-03-05 08:58:54", "stamp naive"),
    (f"2025-03-05 08:58:54.123 | {SLOG}", "2025-03-05 08:58:54.123", "stamp naive"),
    (f"[2025-03-05T08:58:54Z] {SLOG}", "2025-03-05T08:58:54Z", "stamp rfc3339"),
    (f"2025-03-05T08:58:54+0100 {SLOG}", "2025-03-05T08:58:54+0100", "stamp rfc3339"),
    (f"2025-03-05T08:58:54: {SLOG}", "2025-03-05T08:58:54", "stamp naive"),
    (f"Mar 05 08:58:54 {SLOG}", "Mar 05 08:58:54", "stamp naive"),
    (f"2024/08/16 07:56:25 {SLOG}", "2024/08/16 07:56:25", "stamp naive"),
    (f"2025-09-10 18:16:22.307225+00:00{SLOG}", "2025-09-10T18:16:22.307225+00:00", "stamp rfc3339"),
]


@pytest.mark.parametrize(("line", "stamp", "clock"), DOUBLE)
def test_stamps_before_the_line(line: str, stamp: str, clock: str) -> None:
    """The stamp of another program is taken off a line of Ollama."""
    assert unwrap(line).select("stamp", "clock", "body").row(0) == (stamp, clock, SLOG)


OWN_STAMPS = [
    "2024/08/16 07:56:25 routes.go:1125: INFO server config",
    "2025-09-10 11:16:22.307 | ERROR | open_webui.main:1 - no",
    "2025-09-10 11:16:22,307 - INFO - HTTP Request: POST http://localhost:11434",
    "2025-09-10 11:16:22 anything",
]


@pytest.mark.parametrize("line", OWN_STAMPS)
def test_a_stamp_that_is_the_line_s_own_stays(line: str) -> None:
    """Nothing behind it is evidently Ollama's."""
    assert bodies_of(line) == [line]


@pytest.mark.parametrize("line", OWN_STAMPS[:3])
def test_a_logger_of_its_own_keeps_its_stamp_beside_stamped_lines(line: str) -> None:
    """A level after the stamp means that another program wrote the line."""
    assert bodies_of(f"{DOUBLE[0][0]}\n2025-03-05 08:58:55 bare\n{line}") == [SLOG, "bare", line]


# --- wrappers --------------------------------------------------------------------------------------------------------

STACKS = [
    (f"Jun 29 08:00:00 h docker-compose[1]: ollama-1  | {SLOG}", "journald-short+compose", "journal short"),
    (f"[pod/ollama-0/ollama] 2026-03-01T11:04:05.416409123Z {SLOG}", "kubectl+docker", "docker rfc3339"),
    (f"[pod/ollama-0/ollama] 2026-03-01T11:04:05.41Z {SLOG}", "kubectl+stamp", "stamp rfc3339"),
    (f"ollama-1  | 2026-03-01T11:04:05.416409123Z {SLOG}", "compose+docker", "docker rfc3339"),
    (f"0|ollama  | 2026-03-01T11:04:05: {SLOG}", "pm2+stamp", "stamp naive"),
    (f"2026-03-01T19:04:05+0800 h app[1]: ollama-1  | 2026-03-01 19:04:05 {SLOG}", "journald-short-iso+compose+stamp", "journal rfc3339"),
    (entry(json.dumps(f"ollama-1  | {SLOG}")), "journald-json+compose", "journal unix-us"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "wrapper", "clock"), STACKS)
def test_layers_are_taken_off_one_after_the_other(line: str, wrapper: str, clock: str) -> None:
    """The stamp nearest to the line counts, unless it has no zone and one outside has."""
    assert unwrapping.detect(line) == wrapper
    assert unwrap(line).select("clock", "body").row(0) == (clock, SLOG)


def test_a_file_may_change_its_form() -> None:
    """Logs that were put one behind the other keep their forms."""
    text = "\n".join([SHORT + SLOG, *SAMPLES.values(), GIN])
    bodies = unwrap(text, wrapper="journald-short")
    ready = "time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 msg=ready"
    assert bodies.filter(pl.col("body") == ready).height == len(SAMPLES)
    assert bodies["body"][-1] == GIN


# --- consoles ------------------------------------------------------------------------------------------------------


def test_lines_broken_by_powershell_are_whole_again() -> None:
    """Behind a blank, in the middle of a word at the width, and inside a quoted value; access lines are not broken."""
    frame = [
        "    + CategoryInfo          : NotSpecified: (time=2026:String) [], RemoteException",
        "    + FullyQualifiedErrorId : NativeCommandError",
        " ",
    ]
    broken = [
        *[
            "ollama : time=2026-01-01T00:00:00.000Z level=INFO ",
            'source=routes.go:1631 msg="server config" env="map',
            '[A:1]"',
        ],
        *["In Zeile:1 Zeichen:1", "+ ollama serve *> ", "o.log", "+ ~~~~~~~~~~~~~", *frame, GIN],
        *["time=2026-01-01T00:00:01.000Z level=INFO source=a.", r'go:1 msg="starting runner" cmd="C:\\Users\\me\\Loc'],
        *[r'al\\ollama.exe runner"', "llama_model_loader: loaded ", "print_info: n = 1"],
    ]
    whole = [
        'time=2026-01-01T00:00:00.000Z level=INFO source=routes.go:1631 msg="server config" env="map[A:1]"',
        *["In Zeile:1 Zeichen:1", "+ ollama serve *> o.log", "+ ~~~~~~~~~~~~~", *frame, GIN],
        r'time=2026-01-01T00:00:01.000Z level=INFO source=a.go:1 msg="starting runner" cmd="C:\\Users\\me\\Local\\ollama.exe runner"',
        *["llama_model_loader: loaded ", "print_info: n = 1"],
    ]
    assert bodies_of("\n".join(broken)) == whole


# --- cuts ----------------------------------------------------------------------------------------------------------

MIXED = "\n".join(
    [
        *[SHORT + SLOG, " " * len(SHORT) + "hung", " " * len(SHORT) + "too", ""],
        *[text for text in SAMPLES.values() if not text.startswith("ollama.exe")],
        *[entry('"one "', _LINE_BREAK='"line-max"'), GIN, entry('"two"'), entry('"a\\nb"')],
        *["2026-03-01T11:04:05.1Z stderr P one ", "name  | x", "2026-03-01T11:04:05.2Z stderr F two"],
        *["ollama-1  | late", "2025-03-05 08:58:55 bare", "other-1  | early", f"other-1  | {SLOG}", "other-1  | late"],
        *["__CURSOR=s=1", "_PID=1", "MESSAGE", "\x07one", "two", "", "{", '\t"a" : 1', "}", "{", '\t"b" : 2'],
        SAMPLES["powershell"], "time=2026-01-01T00:00:00.000Z level=INFO ", "source=b.go:1 msg=x", GIN,
    ]
)  # fmt: skip


WHOLE = unwrap(MIXED)


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(st.sets(st.integers(1, MIXED.count("\n")), max_size=5))
def test_where_the_input_is_cut_does_not_matter(cuts: set[int]) -> None:
    """Any split gives the same bodies as one call; the state is JSON where nothing is pending."""
    assert unwrap(MIXED, cuts=tuple(sorted(cuts))).equals(WHOLE)


def test_every_single_line_may_come_alone() -> None:
    """The hardest split."""
    assert unwrap(MIXED, cuts=tuple(range(1, MIXED.count("\n") + 1))).equals(WHOLE)


def test_nothing_is_pending_at_the_end() -> None:
    """What has no end is given as it is."""
    for text in (
        "__CURSOR=s=1\nMESSAGE=a",
        '{\n\t"__REALTIME_TIMESTAMP" : "1"',
        "2026-03-01T11:04:05.1Z stderr P one ",
    ):
        _, state = unwrapping.unwrap(as_lines(text), WrapState("plain"), is_last=True)
        assert state.pending is None
        assert unwrap(text)["body"].len() > 0
