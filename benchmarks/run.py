"""Time ``erranalytics ingest`` against lnav and ``wc -l`` on the same file, in turns, in one run.

    python benchmarks/run.py [--megabytes 300] [--runs 5] [--file FILE]

Each program is started as a whole process; time, processor time and peak memory come from the kernel
(``wait4``). lnav opens the file headless with the format beside this script and answers one count by status;
erranalytics reads, classifies, stores and derives. Without lnav on the path its row is left out. Then the same
file is ingested again, unchanged and grown by a megabyte.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MORE_BYTES = 1 << 20
QUERY = ";select sc_status, count(*) from ollama_journal_log group by sc_status"


@dataclass(frozen=True)
class Run:
    """One process: wall seconds, processor seconds, peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def measure(command: list[str], env: dict[str, str]) -> Run:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed:\n{output.decode(errors='replace')}")
    return Run(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def commands(file: Path, work: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """What is compared, each with its environment."""
    env = {**os.environ, "ERRANALYTICS_DB": str(work / "bench.duckdb")}
    found = {"wc -l": (["wc", "-l", str(file)], env)}
    if lnav := shutil.which("lnav"):
        home = {**os.environ, "HOME": str(work), "XDG_CONFIG_HOME": str(work / "config")}
        subprocess.run(
            [lnav, "-i", str(HERE / "lnav" / "ollama_journal.json")], env=home, check=True, capture_output=True
        )
        found["lnav"] = ([lnav, "-n", "-c", QUERY, str(file)], home)
    found["erranalytics"] = ([sys.executable, "-m", "erranalytics", "ingest", str(file)], env)
    return found


def main() -> None:
    """Measure in turns and print medians and the paired ratio to lnav."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--file", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="erranalytics-bench-") as folder:
        work = Path(folder)
        file = args.file or work / "journal.log"
        if not args.file:
            subprocess.run([sys.executable, str(HERE / "generate.py"), str(file), str(args.megabytes)], check=True)
        compared = commands(file, work)
        runs: dict[str, list[Run]] = {name: [] for name in compared}
        for _ in range(args.runs):
            for name, (command, env) in compared.items():
                (work / "bench.duckdb").unlink(missing_ok=True)
                runs[name].append(measure(command, env))
        size = (work / "bench.duckdb").stat().st_size
        command, env = compared["erranalytics"]
        again = measure(command, env)
        with file.open("rb") as stream:
            stream.seek(-MORE_BYTES, os.SEEK_END)
            stream.readline()
            more = stream.read()
        if not args.file:
            with file.open("ab") as stream:
                stream.write(more)
            grown = measure(command, env)
        print(f"{file.stat().st_size / 1e6:.0f} MB, {args.runs} runs in turns, {os.cpu_count()} cores, medians")
        for name, seen in runs.items():
            wall, cpu = statistics.median(r.wall_s for r in seen), statistics.median(r.cpu_s for r in seen)
            print(f"{name:<14}{wall:8.2f} s wall {cpu:8.2f} s cpu {max(r.peak_mib for r in seen):8.0f} MiB peak")
        if "lnav" in runs:
            ratios = [
                ours.wall_s / theirs.wall_s for ours, theirs in zip(runs["erranalytics"], runs["lnav"], strict=True)
            ]
            print(
                f"erranalytics / lnav: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
            )
        print(f"the same file again: {again.wall_s:.2f} s, {again.peak_mib:.0f} MiB peak")
        if not args.file:
            print(f"grown by {len(more) / 1e6:.1f} MB: {grown.wall_s:.2f} s, {grown.peak_mib:.0f} MiB peak")
        print(f"store: {size / 1e6:.0f} MB, {100 * size / file.stat().st_size:.0f} % of the text")


if __name__ == "__main__":
    main()
