"""What a log tells of the runs of a server: version, settings, devices, and how they ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import erranalytics as ea
from erranalytics.store import frames

HOST = "Jan  5 10:00:{:02d} gpu01 "


def server(second: int, body: str, *, pid: int = 4000) -> str:
    """A line of Ollama in the journal."""
    return f"{HOST.format(second)}ollama[{pid}]: {body}"


def systemd(second: int, body: str) -> str:
    """A line of systemd in the journal."""
    return f"{HOST.format(second)}systemd[1]: {body}"


def begins(second: int, *, version: str = "0.24.0", pid: int = 4000) -> list[str]:
    """The lines with which a run begins."""
    stamp = f"time=2026-01-05T10:00:{second:02d}.000Z level=INFO source=routes.go:1802"
    env = "map[HTTP_PROXY: OLLAMA_HOST:http://0.0.0.0:11434 OLLAMA_ORIGINS:[http://localhost https://localhost] no_proxy:]"
    return [
        server(second, f'{stamp} msg="server config" env="{env}"', pid=pid),
        server(second, f'{stamp} msg="Listening on [::]:11434 (version {version})"', pid=pid),
    ]


STARTED, DONE = systemd(0, "Started ollama.service - Ollama Service."), server(5, "[GIN] 2026/01/05 - 10:00:05 | 200 |  1.2s | 127.0.0.1 | POST \"/api/chat\"")  # fmt: skip
KILLED = "kernel: Out of memory: Killed process {} ({}) total-vm:61071988kB, anon-rss:30071988kB, file-rss:0kB, shmem-rss:0kB, UID:998 pgtables:60000kB oom_score_adj:0"  # fmt: skip
EXITED = systemd(7, "ollama.service: Main process exited, code=killed, status=9/KILL")
ENDS: dict[str, tuple[list[str], list[str]]] = {
    "stopped": ([systemd(7, "Stopping ollama.service - Ollama Service..."), systemd(7, "ollama.service: Deactivated successfully.")], ["stopped"]),
    "an older systemd": ([systemd(7, "Stopping Ollama Service..."), systemd(7, "ollama.service: Succeeded."), systemd(7, "Stopped Ollama Service.")], ["stopped"]),
    "it did not stop in time": ([systemd(6, "Stopping Ollama Service..."), EXITED, systemd(7, "ollama.service: Failed with result 'timeout'.")], ["stopped"]),
    "its process ended": ([systemd(7, "ollama.service: Main process exited, code=exited, status=1/FAILURE"), systemd(7, "ollama.service: Failed with result 'exit-code'.")], ["crashed"]),
    "systemd says Stopped of a crash too": ([systemd(7, "ollama.service: Main process exited, code=dumped, status=6/ABRT"), systemd(10, "ollama.service: Scheduled restart job, restart counter is at 1."), systemd(10, "Stopped Ollama Service."), *begins(11)], ["crashed", "running"]),
    "killed for lack of memory, as systemd says": ([systemd(7, "ollama.service: A process of this unit has been killed by the OOM killer."), systemd(7, "ollama.service: Failed with result 'oom-kill'.")], ["oom_killed"]),
    "killed for lack of memory, as the kernel says": ([HOST.format(6) + KILLED.format(4000, "ollama"), EXITED, systemd(7, "ollama.service: Failed with result 'signal'.")], ["oom_killed"]),
    "a runner was killed for lack of memory": ([HOST.format(6) + KILLED.format(4711, "ollama_llama_se"), server(8, "[GIN] 2026/01/05 - 10:00:08 | 500 |  1.2s | 127.0.0.1 | POST \"/api/chat\"")], ["running"]),
    "killed by somebody": ([EXITED, systemd(7, "ollama.service: Failed with result 'signal'.")], ["crashed"]),
    "followed by another run": (begins(20), ["restarted", "running"]),
    "nothing is told": ([], ["running"]),
}  # fmt: skip


def runs(log: list[str], folder: Path) -> list[dict[str, Any]]:
    """The runs of a log that have a version."""
    path, db = folder / "journal.log", folder / "store.duckdb"
    path.write_text("\n".join(log) + "\n", encoding="utf-8")
    ea.ingest([path], db=db, tz="UTC", year=2026)
    connection = ea.connect(db)
    frame = frames.rows(connection, "select * from server_sessions where version is not null order by session_id")
    connection.close()
    return frame


@pytest.mark.parametrize("name", ENDS)
def test_how_a_run_ends(name: str, tmp_path: Path) -> None:
    """The first word of an end decides; the death of a runner is none; systemd would have told of an end."""
    lines, expected = ENDS[name]
    found = runs([STARTED, *begins(1), DONE, *lines], tmp_path)
    assert [row["end_reason"] for row in found] == expected
    assert {row["pid"] for row in found} == {4000}


def plain(log: str, folder: Path) -> list[dict[str, Any]]:
    """All runs of a log without a wrapper."""
    path, db = folder / "server.log", folder / "store.duckdb"
    path.write_text(log, encoding="utf-8")
    ea.ingest([path], db=db, tz="UTC")
    connection = ea.connect(db)
    rows = frames.rows(connection, "select * from server_sessions order by session_id")
    connection.close()
    return rows


DEBUG = "time=2026-01-05T10:00:0{}.000Z level=DEBUG source=sched.go:287 msg="
LISTEN = 'time=2026-01-05T10:00:01.000Z level=INFO source=routes.go:1 msg="Listening on 127.0.0.1:11434 (version {})"\n'
PLAIN = {
    "with OLLAMA_DEBUG it says that it ends": (
        LISTEN.format("0.24.0") + DEBUG.format(9) + '"shutting down scheduler completed loop"\n', "stopped",
    ),
    "a runner that is unloaded is no end": (
        LISTEN.format("0.24.0") + DEBUG.format(9) + '"llama server stopped" pid=4711\n', "unknown",
    ),
    "nothing is told": (LISTEN.format("0.24.0"), "unknown"),
    "the runner was a part of the server": (
        LISTEN.format("0.1.28") + "SIGSEGV: segmentation violation\nPC=0x7f3c m=5 sigcode=1\n\ngoroutine 7 [syscall]:\n", "crashed",
    ),
    "it is the runner that panics": (
        LISTEN.format("0.5.7") + "panic: unable to load model\n\ngoroutine 7 [running]:\n", "unknown",
    ),
    "it could not begin": ("Error: could not create directory mkdir /data: permission denied\n", "crashed"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_how_a_run_without_a_journal_ends(name: str, tmp_path: Path) -> None:
    """Only what the server says itself, or what it cannot have survived."""
    log, expected = PLAIN[name]
    assert [row["end_reason"] for row in plain(log, tmp_path)] == [expected]


def test_version_settings_and_process(tmp_path: Path) -> None:
    """Settings are a map; values may hold blanks and colons."""
    (row,) = runs([STARTED, *begins(1, version="0.5.7-rc1", pid=77)], tmp_path)
    assert (row["version"], row["pid"], row["host"]) == ("0.5.7-rc1", 77, "gpu01")
    assert row["config"] == {
        "HTTP_PROXY": "",
        "OLLAMA_HOST": "http://0.0.0.0:11434",
        "OLLAMA_ORIGINS": "[http://localhost https://localhost]",
        "no_proxy": "",
    }


COMPUTE = 'time=2026-01-05T10:00:02.000Z level=INFO source=types.go:1 msg="inference compute" {}\n'
DEVICES = {
    "v0.1.28": (
        """ggml_init_cublas: found 2 CUDA devices:
  Device 0: NVIDIA L4, compute capability 8.9, VMM: yes
  Device 1: NVIDIA T4, compute capability 7.5, VMM: yes
""",
        ["NVIDIA L4", "NVIDIA T4"],
    ),
    "v0.1.38": (
        COMPUTE.format(
            'id=GPU-2 library=cuda compute=8.9 driver=12.4 name="NVIDIA T4" total="15.0 GiB" available="14.0 GiB"'
        )
        + COMPUTE.format(
            'id=GPU-1 library=cuda compute=8.9 driver=12.4 name="NVIDIA L4" total="22.0 GiB" available="14.0 GiB"'
        ),
        ["NVIDIA L4 22.0 GiB", "NVIDIA T4 15.0 GiB"],
    ),
    "v0.5.7": (
        COMPUTE.format(
            'id=0 library=cpu variant=avx2 compute="" driver=0.0 name="" total="15.4 GiB" available="8.2 GiB"'
        ),
        ["cpu 15.4 GiB"],
    ),
    "v0.24.0": (
        COMPUTE.format(
            'id=0 filter_id="" library=Vulkan compute=0.0 name=Vulkan0 description="AMD Radeon 780M" libdirs=ollama,vulkan'
            ' driver=0.0 pci_id=0000:05:00.0 type=iGPU total="8.0 GiB" available="7.4 GiB"'
        ),
        ["AMD Radeon 780M 8.0 GiB"],
    ),
    "nothing is told": ("", None),
}


@pytest.mark.parametrize("era", DEVICES)
def test_devices_of_each_era(era: str, tmp_path: Path) -> None:
    """From the search for devices at the start; before there was one, from the runner."""
    lines, expected = DEVICES[era]
    (row,) = plain(LISTEN.format("0.0.0") + lines, tmp_path)
    assert row["devices"] == expected
