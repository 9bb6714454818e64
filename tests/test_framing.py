"""Lines to records: wrappers off, formats recognised, blocks folded."""

from __future__ import annotations

import polars as pl
import pytest

from erranalytics import framing, lineformats, schema, wrappers

BOOK = lineformats.load()
SLOG = "time=2026-01-01T00:00:00.000Z level=INFO source=a.go:1 msg=hello"
GIN = '[GIN] 2026/01/01 - 00:00:01 | 200 |   1.5ms |       127.0.0.1 | POST     "/api/chat"'


def frame(*lines: str, wrapper: str = "plain") -> pl.DataFrame:
    """The records of some lines."""
    table = pl.DataFrame({"line_no": range(1, len(lines) + 1), "raw": lines}, schema=schema.LINES)
    framed = framing.frame(table, wrapper=wrapper, book=BOOK, is_last=True)
    assert framed.records.schema == schema.RECORDS
    assert framed.records["line_count"].sum() + framed.rejects["line_count"].sum() == len(lines)
    return framed.records


FOLDS = {
    "cuda block": [
        "CUDA error: out of memory",
        "  current device: 0, in function alloc at ggml-cuda.cu:450",
        "  cuMemCreate(&handle, reserve_size, &prop, 0)",
        "/src/ggml-cuda.cu:94: CUDA error",
    ],
    "panic": [
        "panic: unable to load model",
        "",
        "goroutine 85 [running]:",
        "main.main()",
        "\tmain.go:12 +0x1",
        "exit status 2",
    ],
    "signal": [
        "SIGSEGV: segmentation violation",
        "PC=0x7f m=5 sigcode=1",
        "signal arrived during cgo execution",
        "rax    0x0",
        "something unheard of",
    ],
    "devices": [
        "ggml_cuda_init: found 1 CUDA devices:",
        "  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes",
    ],
    "access trailer": [GIN, "Error #01: write tcp 127.0.0.1:11434->127.0.0.1:50000: write: broken pipe", ""],
    "metadata": [f"llama_model_loader: - kv {n:3d}:   general.name str = x" for n in range(5)],
}


@pytest.mark.parametrize("name", FOLDS)
def test_block_is_one_record(name: str) -> None:
    """What belongs together is one record between two others."""
    records = frame(SLOG, *FOLDS[name], SLOG)
    assert records["line_count"].to_list() == [1, len(FOLDS[name]), 1]


def test_errors_are_not_folded_into_noise() -> None:
    """A loader line that warns stands for itself, even among metadata."""
    records = frame(
        "print_info: n_layer = 1", "print_info: model has unused tensor, mismatch", "print_info: n_head = 2"
    )
    assert records["line_count"].to_list() == [1, 1, 1]


def test_two_gpu_errors_stay_two() -> None:
    """Only the line that names the source file closes a block."""
    assert frame("CUDA error: out of memory", "ROCm error: out of memory").height == 2


def test_blank_lines_before_everything_are_counted_rejects() -> None:
    """They belong to no record and are not lost."""
    assert frame("", "", SLOG)["line_no"].to_list() == [3]


def test_only_blank_lines() -> None:
    """A file of blank lines has no record."""
    assert frame("", "").is_empty()


def test_text_behind_loader_dots() -> None:
    """A log line glued to the dots of a progress is found."""
    records = frame(f"......{SLOG}", f"...{GIN}")
    assert records["format"].to_list() == ["slog-text", "gin"]
    assert records["body"].to_list() == [SLOG, GIN]


SHORT = "Mar 01 08:00:00 gpu01 ollama[42]: "
WRAPPED = {
    "journald-short": SHORT,
    "journald-short-precise": "Mar 01 08:00:00.123456 gpu01 ollama[42]: ",
    "journald-short-iso": "2026-03-01T08:00:00+0800 gpu01 ollama[42]: ",
    "journald-short-iso-precise": "2026-03-01T08:00:00.123456+0800 gpu01 ollama[42]: ",
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_text_modes_of_journalctl(wrapper: str) -> None:
    """Host, unit, pid and stamp are taken off; the wrapper is found by content."""
    lines = [WRAPPED[wrapper] + SLOG, WRAPPED[wrapper] + GIN]
    assert wrappers.detect("\n".join(lines)) == wrapper
    records = frame(*lines, wrapper=wrapper)
    assert records.select("host", "unit", "pid").unique().rows() == [("gpu01", "ollama", 42)]
    assert records["body"].to_list() == [SLOG, GIN]


def test_prefix_without_host_or_pid() -> None:
    """``--no-hostname`` and the kernel's lines have shorter prefixes; a line without one keeps its text."""
    lines = [
        "Mar 01 08:00:00 ollama[42]: a",
        "Mar 01 08:00:00 gpu01 kernel: Out of memory: Killed process 1 (x) [y]: z",
        "-- Boot 7d7c6013a26343b29e964691ff25d04d --",
    ]
    table = pl.DataFrame({"line_no": [1, 2, 3], "raw": lines}, schema=schema.LINES)
    out = wrappers.unwrap(table, wrapper="journald-short")
    assert out.select("host", "unit", "pid").rows() == [
        (None, "ollama", 42),
        ("gpu01", "kernel", None),
        (None, None, None),
    ]
    assert out["body"].to_list() == ["a", "Out of memory: Killed process 1 (x) [y]: z", lines[2]]


def test_journald_json_with_every_kind_of_message() -> None:
    """Text, bytes as numbers, null (too long), and a line that is no JSON."""
    head = '{"__REALTIME_TIMESTAMP":"1795226483276087","_HOSTNAME":"gpu01","SYSLOG_IDENTIFIER":"ollama","_PID":"7","MESSAGE":'
    lines = [head + '"a \\"b\\""}', head + "[104,105]}", head + "null}", "not json", head + '"broken']
    table = pl.DataFrame({"line_no": range(5), "raw": lines}, schema=schema.LINES)
    out = wrappers.unwrap(table, wrapper="journald-json")
    assert out["body"].to_list()[:4] == ['a "b"', "hi", None, "not json"]
    assert out["stamp"].to_list()[:3] == ["1795226483276087"] * 3


def test_other_programs_of_a_journal_are_foreign() -> None:
    """A line of another identifier is never taken for Ollama's."""
    records = frame("Mar 01 08:00:00 gpu01 sshd[1]: error: out of memory", SHORT + SLOG, wrapper="journald-short")
    assert records["format"].to_list() == ["foreign", "slog-text"]


@pytest.mark.parametrize("cut", range(1, 20))
def test_where_the_batch_ends_does_not_matter(cut: int) -> None:
    """The last record is handed back and read again with the next batch."""
    lines = [SLOG, *FOLDS["panic"], *FOLDS["metadata"], GIN, *FOLDS["cuda block"], SLOG]
    table = pl.DataFrame({"line_no": range(1, len(lines) + 1), "raw": lines}, schema=schema.LINES)
    whole = framing.frame(table, wrapper="plain", book=BOOK, is_last=True).records
    first = framing.frame(table.head(cut), wrapper="plain", book=BOOK, is_last=False)
    second = framing.frame(pl.concat([first.rest, table.slice(cut)]), wrapper="plain", book=BOOK, is_last=True)
    assert pl.concat([first.records, second.records]).equals(whole)
