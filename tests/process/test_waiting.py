"""A store another process holds: said once, waited for, and refused with its name when it takes too long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import erranalytics as ea
from erranalytics import api
from erranalytics.errors import StoreLockedError
from erranalytics.store import connection

HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("call", [lambda db, **more: ea.ingest(db=db, **more), api.connect], ids=["ingest", "connect"])
def test_it_says_for_whom_it_waits(call: object, tmp_path: Path) -> None:
    """The process is named, once, before the waiting begins; then the call fails or goes on."""
    path, said = tmp_path / "t.duckdb", []
    connection.open_store(path).close()
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"

        def let_go(text: str) -> None:
            said.append(text)
            holder.stdin.close()
            holder.wait()

        call(db=path, wait_s=60, on_wait=let_go)
    assert len(said) == 1
    assert f"PID {holder.pid}" in said[0]
    assert said[0].endswith(": waiting up to 60 s")


def test_without_waiting_it_refuses_at_once(tmp_path: Path) -> None:
    """``--wait 0`` says who holds it and leaves."""
    path, said = tmp_path / "t.duckdb", []
    connection.open_store(path).close()
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StoreLockedError, match=str(holder.pid)):
            ea.ingest(db=path, wait_s=0, on_wait=said.append)
        holder.communicate()
    assert said == []
