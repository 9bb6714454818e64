"""Time classification alone: lines per second against the number of rules and the share of suspicious lines.

    python benchmarks/classification.py [--lines 1000000] [--runs 3]

Ordinary lines are those of ``generate.py`` that hold no literal of any rule; suspicious ones are examples of the rules
in use with other numbers in them. They go through ``classify`` in batches with one memory, as ``ingest`` does it.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import time
from datetime import UTC, datetime

import generate
import polars as pl

from erranalytics.classification import rulebook
from erranalytics.classification.classifier import Memo, classify
from erranalytics.classification.rulebook import Rulebook

RULE_COUNTS = (60, 200, None)
SHARES = (0.001, 0.01, 0.1)
BATCH_LINES = 100_000
# Three digits are a status more often than not: another one would be another text.
NUMBER = re.compile(r"(?<!\d)(?:\d{2}|\d{4,})(?!\d)")


def chosen(book: Rulebook, count: int | None) -> Rulebook:
    """A rulebook of ``count`` rules, taken evenly from all families; the whole book when None."""
    if count is None:
        return book
    rules = tuple(book.rules[at * len(book.rules) // count] for at in range(count))
    return Rulebook(causes=book.causes, rules=rules, families=book.families, hash="")


def ordinary_lines(count: int, *, book: Rulebook, rng: random.Random) -> pl.Series:
    """Lines of a busy server that no literal of the book stands in."""
    now, found, height = datetime(2026, 3, 1, 8, tzinfo=UTC), [], 0
    while height < count:
        lines = pl.Series([line for _ in range(500) for line in generate.scene(now, rng)])
        held = lines.str.contains_any([*book.literals], ascii_case_insensitive=True)
        found.append(lines.filter(~held))
        height += len(found[-1])
    return pl.concat(found).head(count)


def suspicious_lines(count: int, *, book: Rulebook, rng: random.Random) -> pl.Series:
    """Examples of the rules in turn, each time with other numbers."""
    examples = [example.line for rule in book.rules for example in rule.example]

    def other(found: re.Match[str]) -> str:
        return str(rng.randint(10 ** (len(found[0]) - 1), 10 ** len(found[0]) - 1))

    return pl.Series([NUMBER.sub(other, examples[at % len(examples)]) for at in range(count)], dtype=pl.String)


def measure(lines: pl.Series, *, book: Rulebook) -> tuple[float, int]:
    """Seconds to classify all lines, and how many a rule matched."""
    memo, known, began = Memo(), 0, time.perf_counter()
    for start in range(0, len(lines), BATCH_LINES):
        found = classify(lines.slice(start, BATCH_LINES), book=book, memo=memo)
        known += len(found) - found["rule"].null_count()
    return time.perf_counter() - began, known


def main() -> None:
    """Measure every combination and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    whole, rng = rulebook.load(), random.Random(1)
    ordinary = ordinary_lines(args.lines, book=whole, rng=rng)
    print(f"{args.lines:,} lines, medians of {args.runs} runs, {os.cpu_count()} cores, polars {pl.__version__}\n")
    print(
        "| rules | suspicious lines | different | known | seconds | lines per second |\n| --- | --- | --- | --- | --- | --- |"
    )
    for count in RULE_COUNTS:
        book = chosen(whole, count)
        for share in SHARES:
            number = round(args.lines * share)
            suspicious = suspicious_lines(number, book=book, rng=rng)
            lines = pl.concat([ordinary.head(args.lines - number), suspicious]).sample(fraction=1, shuffle=True, seed=1)
            runs = [measure(lines, book=book) for _ in range(args.runs)]
            seconds = statistics.median(run[0] for run in runs)
            facts = f"{len(book.rules)} | {number:,} ({100 * share:g} %) | {suspicious.n_unique():,} | {runs[0][1]:,}"
            print(f"| {facts} | {seconds:.2f} | {args.lines / seconds:,.0f} |")


if __name__ == "__main__":
    main()
