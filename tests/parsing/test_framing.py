"""Bodies to records: formats recognised, blocks folded."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erranalytics import schema
from erranalytics.parsing import framing, joining, lineformats, recognition
from erranalytics.wrappers import unwrapping

BOOK = lineformats.load()
SLOG = "time=2026-01-01T00:00:00.000Z level=INFO source=a.go:1 msg=hello"
GIN = '[GIN] 2026/01/01 - 00:00:01 | 200 |   1.5ms |       127.0.0.1 | POST     "/api/chat"'


def bodies(*lines: str, wrapper: str = "plain") -> pl.DataFrame:
    """Lines without what stands around them."""
    table = pl.DataFrame({"line_no": range(1, len(lines) + 1), "raw": lines}, schema=schema.LINES)
    return unwrapping.unwrap(table, unwrapping.WrapState(wrapper), is_last=True)[0]


def frame(*lines: str, wrapper: str = "plain") -> pl.DataFrame:
    """The records of some lines; each line is in one of them or in a counted reject."""
    framed = framing.frame(bodies(*lines, wrapper=wrapper), book=BOOK, end=len(lines) + 1, is_last=True)
    assert framed.records.schema == schema.RECORDS
    assert framed.rest.is_empty()
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


CURL = "{}curl: (7) Failed to connect to 127.0.0.1 port 11434"
# Lines that curl glued, such as it glued none, and lines of Ollama that quote what curl says.
GLUED = [
    CURL,
    "{",
    "curl: (7) Failed to connect",
    f'{SLOG} error="{CURL}"',
    f"...{SLOG}",
    f"[GIN] 2026/01/01 {CURL}",
    "{}HTTP/1.1 200  ",
]


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.sampled_from(GLUED), min_size=1, max_size=12))
def test_what_is_glued_does_not_depend_on_its_neighbours(lines: list[str]) -> None:
    """A line is split, or not, whatever stands in the same batch."""
    alone = [body for line in lines for body in split(line)]
    assert split(*lines) == alone


def split(*lines: str) -> list[str]:
    """The bodies of a batch where no two records share a line."""
    table = bodies(*lines)
    while recognition.recognise(table, book=BOOK) is None:
        table = recognition.split_glued(table, book=BOOK)
    known = recognition.recognise(table, book=BOOK)
    assert known is not None
    return known["body"].to_list()


def test_a_line_of_ollama_that_quotes_curl_is_whole() -> None:
    """Its first bytes decide its format: it is never split, not even next to a line that curl glued."""
    quoting = f'{SLOG} error="{CURL}"'
    assert split(quoting) == [quoting]
    assert split(CURL, quoting) == ["{}", CURL.removeprefix("{}"), quoting]


SHORT = "Mar 01 08:00:00 gpu01 ollama[42]: "


def test_other_programs_of_a_journal_are_foreign() -> None:
    """A line of another identifier is never taken for Ollama's."""
    records = frame("Mar 01 08:00:00 gpu01 sshd[1]: error: out of memory", SHORT + SLOG, wrapper="journald-short")
    assert records["format"].to_list() == ["foreign", "slog-text"]


def test_a_record_has_a_most() -> None:
    """A dump without end is cut where it says, whatever came before in the batch."""
    lines = [f"llama_model_loader: - kv {n:3d}:   general.name str = x" for n in range(joining.MAX_RECORD_LINES + 10)]
    assert frame(SLOG, *lines, SLOG)["line_count"].to_list() == [1, joining.MAX_RECORD_LINES, 10, 1]


def test_lines_that_a_wrapper_spans_count_for_their_record() -> None:
    """Lines are counted by the distance to the next record, so an entry of many physical lines counts them all."""
    table = bodies(SLOG, GIN, SLOG).with_columns(line_no=pl.Series([1, 4, 9]))
    framed = framing.frame(table, book=BOOK, end=12, is_last=True)
    assert framed.records["line_count"].to_list() == [3, 5, 3]


def test_two_records_on_one_physical_line() -> None:
    """Only one of them counts it."""
    records = frame(f"loading{GIN}", SLOG)
    assert records["line_count"].to_list() == [0, 1, 1]


LOG = [SLOG, *FOLDS["panic"], "", *FOLDS["metadata"], f"....{GIN}", *FOLDS["cuda block"], *FOLDS["signal"], SLOG]


@pytest.mark.parametrize("cut", range(1, len(LOG)))
def test_where_the_batch_ends_does_not_matter(cut: int) -> None:
    """The last record is handed back and read again with the next batch."""
    table, end = bodies(*LOG), len(LOG) + 1
    whole = framing.frame(table, book=BOOK, end=end, is_last=True).records
    first = framing.frame(table.head(cut), book=BOOK, end=cut + 1, is_last=False)
    assert first.records.height + first.rest.height > 0
    second = framing.frame(pl.concat([first.rest, table.slice(cut)]), book=BOOK, end=end, is_last=True)
    assert pl.concat([first.records, second.records]).equals(whole)


def test_line_by_line_is_all_at_once() -> None:
    """The rest that is handed over is all the state there is."""
    table = bodies(*LOG)
    rest, parts = table.clear(), []
    for at in range(table.height):
        framed = framing.frame(pl.concat([rest, table.slice(at, 1)]), book=BOOK, end=at + 2, is_last=False)
        rest, parts = framed.rest, [*parts, framed.records]
    parts.append(framing.frame(rest, book=BOOK, end=len(LOG) + 1, is_last=True).records)
    assert pl.concat(parts).equals(framing.frame(table, book=BOOK, end=len(LOG) + 1, is_last=True).records)


POOL = [SLOG, GIN, "", "  indented", "panic: unable to load model", "something unheard of", "goroutine 85 [running]:", FOLDS["metadata"][0], FOLDS["metadata"][1], *FOLDS["cuda block"]]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.tuples(st.sampled_from(POOL), st.integers(1, 12)), min_size=1, max_size=12),
    shares=st.lists(st.floats(0, 1), max_size=4),
    longest=st.sampled_from([3, 7, joining.MAX_RECORD_LINES]),
)
def test_long_records_may_be_cut_anywhere(lines: list[tuple[str, int]], shares: list[float], longest: int) -> None:
    """A record of more lines than one may have falls into the same parts wherever a batch ends."""
    texts = [line for line, count in lines for _ in range(count)]
    bounds = sorted({0, len(texts), *(int(share * len(texts)) for share in shares)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "MAX_RECORD_LINES", longest)
        whole, parts, rest = frame(*texts), [], schema.empty(schema.BODIES)
        for start, end in pairwise(bounds):
            table = bodies(*texts[start:end]).with_columns(pl.col("line_no") + start)
            framed = framing.frame(pl.concat([rest, table]), book=BOOK, end=end + 1, is_last=end == len(texts))
            parts.append(framed.records)
            rest = framed.rest
    assert pl.concat(parts).equals(whole)
    assert whole["line_count"].max() is None or longest < 12 or whole["line_count"].max() <= longest


def test_a_panic_of_many_goroutines_falls_into_parts() -> None:
    """Each part has as many lines as a record may have, but for the last."""
    lines = ["panic: unable to load model", *(f"\tmain.go:{n} +0x1" for n in range(2 * joining.MAX_RECORD_LINES))]
    assert frame(SLOG, *lines)["line_count"].to_list() == [1, 4096, 4096, 1]


def test_a_folded_dump_keeps_what_it_tells_of_the_model() -> None:
    """The dump of a loader is one record; of its lines those stay that the format names."""
    dump = [
        "llama_model_loader: Dumping metadata keys/values. Note: KV overrides do not apply in this output.",
        "llama_model_loader: - kv   0:                       general.architecture str              = llama",
        "print_info: file format = GGUF V3 (latest)",
        "print_info: file type   = Q4_0",
        "print_info: arch             = llama",
        "print_info: n_ctx_train      = 8192",
        "print_info: model params     = 8.03 B",
    ]
    (record,) = frame(SLOG, *dump).tail(1).to_dicts()
    assert record["line_count"] == len(dump)
    assert record["rest"] == "\n".join([dump[3], dump[4], dump[6]])
