"""What it costs to start: processor seconds of small commands, most of which go into loading, and of ``ea.classify``.

    python benchmarks/startup.py [--runs 7] [--against CHECKOUT] [--corpus DIR] [--texts FILE.csv] [--calls N]

Each command is a process of its own; its seconds are those of the processor, user and system, of all its threads
(``getrusage``), so that other work on the machine counts less. A first round, which makes byte code and forms of the data
files where there are none, is not counted. ``--against`` runs the same with the package of another checkout, in turns, and
gives ratios run by run. ``--corpus`` reads all ``*.log`` of a folder into one new store. ``ea.classify`` is timed inside
one process: the first call, the second, and 400 calls (``--calls``) with one text each, from the column ``text`` of
``--texts`` or from the examples of the rules.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER = ROOT / "sample_logs" / "server"
LOG = SERVER / "oom-0.24.0.log"
TEXT = "llama runner process has terminated: cudaMalloc failed: out of memory"
DEMO = ("error-frequency", "streaming-failures", "oom-trend", "overview")
# Of a text that no call before has seen: its own patterns are still to be compiled.
CALLS = """
import json, sys, time
import erranalytics as ea
texts = json.load(open(sys.argv[1]))
def seconds(calls):
    began = time.process_time()
    for text in calls:
        ea.classify(text)
    return time.process_time() - began
print(json.dumps([seconds([sys.argv[2]]), seconds([sys.argv[2]]), seconds(texts)]))
"""


class Failed(SystemExit):
    """A command that is measured ended with an error."""


def run(*words: str, package: Path, cwd: Path) -> tuple[float, bytes]:
    """Processor seconds of a Python process with the package of a checkout, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Not in the checkout: the current folder would come before any other.
    env = {**os.environ, "PYTHONPATH": str(package)}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Failed(f"{' '.join(words)[:200]} failed:\n{done.stderr.decode(errors='replace')}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def round_of(package: Path, *, corpus: Path | None, texts: Path) -> Iterator[tuple[str, float]]:
    """One of each: what is measured, and its seconds."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)

        def command(*words: str) -> float:
            return run("-m", "erranalytics", *words, package=package, cwd=work)[0]

        yield "click alone", run("-c", "import click", package=package, cwd=work)[0]
        yield "--help", command("--help")
        yield "explain CODE", command("explain", "MEM014")
        yield "explain TEXT", command("explain", TEXT)
        yield f"ingest, {_lines([LOG])} lines, new store", command("ingest", str(LOG), "--db", "one.duckdb")
        yield "ingest, the same file again", command("ingest", str(LOG), "--db", "one.duckdb")
        yield "report, one", command("report", "error-frequency", "--db", "one.duckdb")
        folders = (str(SERVER), str(SERVER.parent / "client"))
        demo = command("ingest", *folders, "--db", "demo.duckdb")
        yield "make demo", demo + sum(command("report", report, "--db", "demo.duckdb") for report in DEMO)
        if corpus is not None:
            logs = sorted(corpus.glob("*.log"))
            told = f"ingest, corpus of {len(logs)} files, {_lines(logs)} lines"
            yield told, command("ingest", *map(str, logs), "--db", "corpus.duckdb")
        _, printed = run("-c", CALLS, str(texts), TEXT, package=package, cwd=work)
        first, second, many = json.loads(printed)
        yield "ea.classify, first call", first
        yield "ea.classify, second call", second
        yield "ea.classify, many calls", many


def _lines(logs: list[Path]) -> int:
    return sum(path.read_bytes().count(b"\n") for path in logs)


def chosen_texts(file: Path | None, count: int) -> list[str]:
    """So many texts of a file, else examples of the rules, taken evenly from all families."""
    if file is not None:
        with file.open(encoding="utf-8", newline="") as rows:
            found = [row["text"] for row in csv.DictReader(rows)]
    else:
        sys.path.insert(0, str(ROOT))
        from erranalytics.classification import rulebook

        found = [example.line for rule in rulebook.load().rules for example in rule.example]
    count = min(count, len(found))
    return [found[at * len(found) // count] for at in range(count)]


def _row(name: str, seconds: list[list[float]]) -> str:
    medians = [statistics.median(one) for one in seconds]
    spread = f"{min(seconds[0]):.3f} to {max(seconds[0]):.3f}"
    told = f"| {name} | {medians[0]:.3f} | {spread} |"
    if len(seconds) > 1:
        ratio = statistics.median(own / other for own, other in zip(*seconds, strict=True))
        told += f" {medians[1]:.3f} | {ratio:.2f} |"
    return told


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7, metavar="N", help="rounds that are counted")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, in turns with this one")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="all *.log of a folder into one new store, too")
    parser.add_argument("--texts", type=Path, metavar="FILE.csv", help="texts to classify: its column text")
    parser.add_argument("--calls", type=int, default=400, metavar="N", help="texts that are classified, each in a call")
    args = parser.parse_args()
    packages = [ROOT, *([args.against.resolve()] if args.against else [])]
    corpus = args.corpus.resolve() if args.corpus else None
    found: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.json"
        texts.write_text(json.dumps(chosen_texts(args.texts, args.calls)))
        for number in range(args.runs + 1):
            # Neither is always the first.
            for at in range(len(packages)) if number % 2 else reversed(range(len(packages))):
                for name, seconds in round_of(packages[at], corpus=corpus, texts=texts):
                    if number:
                        found.setdefault(name, [[] for _ in packages])[at].append(seconds)
    print("| processor seconds | median | range |" + " other | ratio |" * (len(packages) > 1))
    print("| --- |" + " --- |" * (2 if len(packages) == 1 else 4))
    for name, seconds in found.items():
        print(_row(name, seconds))


if __name__ == "__main__":
    main()
