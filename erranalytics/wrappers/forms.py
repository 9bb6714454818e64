"""The table of wrappers: what other programs put around a line of Ollama, each with a sample and its pattern.

polars runs the patterns, see ``prefixes``. A log may carry several wrappers, the outermost first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_DATE, _TIME = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d"
_ISO = _DATE + "T" + _TIME
_ZONE = r"Z|[+-]\d\d:?\d\d"
# A letter of any language, written so that it compiles fast.
LETTER = r"[A-Za-z\x{80}-\x{10FFFF}]"
# What journalctl prints as %b in any language: 7月, oct, déc., märz, févr.
_MONTH_DAY = rf" ?(?:\d{{1,2}}{LETTER}|{LETTER}{{2,8}})\.? {{1,3}}\d{{1,2}}"
_WEEKDAY = rf"{LETTER}{{1,9}}\.?"
_ABBREVIATION = r"[A-Z]{2,5}|[+-]\d\d(?:\d\d)?"
_PROCESS = (
    r"(?:(?P<host>[^\s:\[\]=]+) (?P<unit>[^\s\[:=]+)(?:\[(?P<pid>\d+)\])?"
    r"|(?P<alone>[^\s\[:=]+)\[(?P<own_pid>\d+)\]|(?P<of_kernel>kernel))"
)
# A count of seconds may also come from dmesg, so these modes need a process id or the kernel after it:
#   1772363045.416409 gpu01 ollama[1234]: text   is journald-short-unix
#   [21415.215982] NVRM: Xid 79                  is a plain line
_SURE_PROCESS = (
    r"(?:(?P<host>[^\s:\[\]=]+) )?"
    r"(?:(?P<unit>[^\s\[:=]+)\[(?P<pid>\d+)\]|(?P<of_kernel>kernel))"
)
_TAIL = r"(?P<body>.*)$"
_UNIT_ID = r"(?P<unit>[^\s\[:]+\.(?:service|scope|slice|socket|mount|target|timer))(?:\[(?P<pid>\d+)\])?"

# The beginning of a line that only Ollama writes.
OLLAMA_LINE = (
    r"\.*(?:time=\d{4}-\d\d-\d\dT\S+ level=|\[GIN\] \d{4}/\d\d/\d\d - |\[GIN-debug\] "
    r"|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:[\w-]+\.go:\d+: |\[Recovery\] )"
    r"|\{\"(?:function|timestamp)\":.*\"level\":\"[A-Z]+\""
    r"|(?:llama|llm|ggml|gguf|clip|mtmd|print_info|load_tensors|load_backend|create_tensor|sched_reserve)[a-z0-9_]*: "
    r"|(?:srv|slot) +\w+: )"
)
# What proves a weak wrapper: a line of Ollama right after it, or after one more wrapper.
EVIDENT = rf"^(?:\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S* (?:\| )?|[\w.@-]+ +\| )?{OLLAMA_LINE}"
# What the logger of another program prints after its own stamp.
FOREIGN_LOGGER = r"^[\s|\[(-]*(?:DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|TRACE|SUCCESS)\b"

Clock = Literal[
    "journal short",
    "journal naive",
    "journal rfc3339",
    "journal unix",
    "journal unix-us",
    "journal monotonic",
    "docker rfc3339",
    "stamp naive",
    "stamp rfc3339",
]


@dataclass(frozen=True, slots=True)
class Wrapper:
    """One kind of wrapper.

    ``title`` and ``recognised_by`` describe it in docs/formats.md. ``pattern`` (Rust regex) has those of the groups
    ``stamp, zone, host, unit, pid, body`` that the wrapper carries. ``clock`` is the kind of its stamp; it becomes
    ``…rfc3339`` where ``zone`` is unambiguous. ``is_weak``: the shape alone proves nothing, so a line of Ollama must
    follow it. ``reader`` says how it is taken off; ``text`` uses the pattern. ``start`` is the part of the pattern
    before host and process, for the text modes of journalctl.
    """

    name: str
    title: str
    recognised_by: str
    sample: str
    pattern: str
    clock: Clock | None = None
    is_weak: bool = False
    reader: Literal["text", "object", "docker", "export", "pretty", "verbose", "console"] = "text"
    start: str = ""


_SLOG = "time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 msg=ready"


def _journal(
    mode: str, stamp: str, clock: Clock, sample: str, *, process: str = _PROCESS, recognised_by: str = ""
) -> Wrapper:
    """A text mode of journalctl: a stamp, the host unless it is left out, the program and its process."""
    words = recognised_by or "the stamp, then `host program[pid]:`; the host may be missing, the month in any language"
    pattern = rf"^{stamp} {process}: ?{_TAIL}"
    return Wrapper(f"journald-{mode}", f"journalctl -o {mode}", words, sample + _SLOG, pattern, clock, start=stamp)


_WORDS = rf"{_WEEKDAY} (?P<stamp>{_DATE} {_TIME}(?:\.\d{{6}})?) (?P<zone>{_ABBREVIATION})"
_JOURNAL = (
    _journal("short", rf"(?P<stamp>{_MONTH_DAY} {_TIME})", "journal short", "Mar 01 19:04:05 gpu01 ollama[1234]: "),
    _journal(
        "short-precise",
        rf"(?P<stamp>{_MONTH_DAY} {_TIME}\.\d{{6}})",
        "journal short",
        "Mar 01 19:04:05.416409 gpu01 ollama[1234]: ",
    ),
    _journal(
        "short-iso",
        rf"(?P<stamp>{_ISO}(?:{_ZONE}))",
        "journal rfc3339",
        "2026-03-01T19:04:05+0800 gpu01 ollama[1234]: ",
    ),
    _journal(
        "short-iso-precise",
        rf"(?P<stamp>{_ISO}\.\d{{6}}(?:{_ZONE}))",
        "journal rfc3339",
        "2026-03-01T19:04:05.416409+08:00 gpu01 ollama[1234]: ",
    ),
    _journal(
        "with-unit",
        _WORDS,
        "journal naive",
        "Sun 2026-03-01 19:04:05 CST gpu01 ollama.service[1234]: ",
        process=rf"(?:(?P<host>[^\s:\[\]=]+) )?{_UNIT_ID}",
        recognised_by="weekday, stamp and zone, then `host name.service[pid]:`; only the zones UTC and GMT are trusted",
    ),
    _journal(
        "short-full",
        _WORDS,
        "journal naive",
        "Sun 2026-03-01 19:04:05 CST gpu01 ollama[1234]: ",
        recognised_by="weekday, stamp and zone, then `host program[pid]:`; only the zones UTC and GMT are trusted",
    ),
    _journal(
        "short-unix",
        r"(?P<stamp>\d{10}\.\d{6})",
        "journal unix",
        "1772363045.416409 gpu01 ollama[1234]: ",
        process=_SURE_PROCESS,
    ),
    _journal(
        "short-monotonic",
        r"\[ *(?P<stamp>\d+\.\d{6})\]",
        "journal monotonic",
        "[21415.215982] gpu01 ollama[1234]: ",
        process=_SURE_PROCESS,
    ),
    _journal(
        "short-delta",
        r"\[ *(?P<stamp>\d+\.\d{6}) (?:<[ \d.]*>| *)\]",
        "journal monotonic",
        "[21416.415982 <    1.200000 >] gpu01 ollama[1234]: ",
        process=_SURE_PROCESS,
    ),
)
_FIELDS = '"__REALTIME_TIMESTAMP":"1772363045416409","_HOSTNAME":"gpu01","SYSLOG_IDENTIFIER":"ollama","_PID":"1234"'
_OBJECT = "{" + _FIELDS + f',"MESSAGE":"{_SLOG}"' + "}"
_IS_ENTRY = r'\{.*"__REALTIME_TIMESTAMP" ?: ?"'
_CURSOR = "s=23;i=1;b=7d;m=4fc5d2b3e;t=64bf46dbc2dd9;x=9a"
_OBJECTS = (
    Wrapper(
        "journald-json",
        "journalctl -o json",
        "one object per line with `__REALTIME_TIMESTAMP`; `MESSAGE` is text, an array of bytes, or null",
        _OBJECT,
        f"^{_IS_ENTRY}",
        "journal unix-us",
        reader="object",
    ),
    Wrapper(
        "journald-json-sse",
        "journalctl -o json-sse",
        "the same object after `data: `, with a blank line between entries",
        f"data: {_OBJECT}\n",
        f"^data: {_IS_ENTRY}",
        "journal unix-us",
        reader="object",
    ),
    Wrapper(
        "journald-json-seq",
        "journalctl -o json-seq",
        "the same object after the control character U+001E",
        f"\x1e{_OBJECT}",
        f"^\x1e{_IS_ENTRY}",
        "journal unix-us",
        reader="object",
    ),
    Wrapper(
        "journald-json-pretty",
        "journalctl -o json-pretty",
        "`{`, fields indented by a tab, `}`; one of the fields is `__REALTIME_TIMESTAMP`",
        "{\n\t" + _OBJECT[1:-1].replace('","', '",\n\t"').replace('":"', '" : "') + "\n}",
        r"^\{$",
        "journal unix-us",
        reader="pretty",
    ),
    Wrapper(
        "journald-export",
        "journalctl -o export",
        "`__CURSOR=`, then `FIELD=value` lines, a blank line between entries; a binary field begins with its length",
        f"__CURSOR={_CURSOR}\n__REALTIME_TIMESTAMP=1772363045416409\n_HOSTNAME=gpu01\n"
        f"SYSLOG_IDENTIFIER=ollama\n_PID=1234\nMESSAGE={_SLOG}\n",
        r"^__CURSOR=",
        "journal unix-us",
        reader="export",
    ),
    Wrapper(
        "journald-verbose",
        "journalctl -o verbose",
        "a stamp with the cursor in brackets, then `FIELD=value` lines indented by four blanks",
        f"Sun 2026-03-01 19:04:05.416409 CST [{_CURSOR}]\n    _HOSTNAME=gpu01\n"
        f"    SYSLOG_IDENTIFIER=ollama\n    _PID=1234\n    MESSAGE={_SLOG}",
        r"^\S+ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \S+ \[s=[0-9a-f]+;i=[0-9a-f]+;.*;?t=[0-9a-f]+.*\]$",
        "journal unix-us",
        reader="verbose",
    ),
)
_CONTAINERS = (
    Wrapper(
        "docker-json",
        "File of docker's json-file driver",
        "one object per line with `log`, `stream` and `time`; text without `\\n` continues in the next of its stream",
        '{"log":"' + _SLOG + '\\n","stream":"stderr","time":"2026-03-01T11:04:05.416409123Z"}',
        r'^\{(?:.*,)?"log" ?: ?".*"(?:stream|time)" ?: ?"|^\{(?:.*,)?"time" ?: ?"\d{4}-.*"log" ?: ?"',
        "docker rfc3339",
        reader="docker",
    ),
    Wrapper(
        "cri",
        "File of a Kubernetes container (CRI)",
        "a stamp, `stdout` or `stderr`, `F` or `P`; a `P` line continues in the next line of its stream",
        f"2026-03-01T11:04:05.416409123Z stderr F {_SLOG}",
        rf"^(?P<stamp>{_ISO}(?:\.\d+)?(?:{_ZONE})) (?P<stream>stdout|stderr) (?P<tag>[FP])(?::\S*)?(?: (?P<body>.*))?$",
        "docker rfc3339",
    ),
    Wrapper(
        "kubectl",
        "kubectl logs --prefix",
        "`[pod/NAME/CONTAINER] `",
        f"[pod/ollama-0/ollama] {_SLOG}",
        rf"^\[pod/(?P<host>[^/\]\s]+)/(?P<unit>[^\]\s]+)\] ?{_TAIL}",
    ),
    Wrapper(
        "docker",
        "docker logs --timestamps",
        "a stamp with nine decimals and `Z`, also after the name that compose or kubectl puts first",
        f"2026-03-01T11:04:05.416409123Z {_SLOG}",
        rf"^(?P<stamp>{_ISO}\.\d{{9}}Z)(?: {_TAIL}|$)",
        "docker rfc3339",
    ),
    Wrapper(
        "swarm",
        "docker service logs",
        "`service.1.<25 characters>@node    | `",
        f"llm_ollama.1.k2x9wq7v5t3r1p8n6m4b0c2z7@gpu01    | {_SLOG}",
        rf"^(?P<unit>[\w.-]+\.\d+\.[a-z0-9]{{25}})@(?P<host>[\w.-]+) +\| ?{_TAIL}",
    ),
    Wrapper(
        "compose",
        "docker compose logs",
        "`name  | ` before a line of Ollama, and then before any line with the same name",
        f"ollama-1  | {_SLOG}",
        rf"^(?P<unit>[A-Za-z0-9][\w.-]*) +\|(?: {_TAIL}|$)",
        is_weak=True,
    ),
    Wrapper(
        "pm2",
        "pm2 logs",
        "`0|name  | ` before a line of Ollama, and then before any line with the same name",
        f"0|ollama  | {_SLOG}",
        rf"^\d+\|(?P<unit>[\w.@-]+) +\|(?: {_TAIL}|$)",
        is_weak=True,
    ),
)
_ANY_ZONE = r"Z|UTC|[+-]\d\d:?\d\d"
_STAMPS = (
    Wrapper(
        "glued-stamp",
        "Stamp that a log viewer glued to the line",
        "a stamp with `+00:00`, and the line right after it without a blank",
        f"2026-03-01 11:04:05.416409+00:00{_SLOG}",
        rf"^(?P<stamp>{_DATE} {_TIME}(?:\.\d{{6}})?)(?P<zone>\+00:00)(?P<body>(?:\S|\t| {{2}}).*)?$",
        "stamp naive",
    ),
    Wrapper(
        "stamp",
        "Stamp that another program put before the line",
        "a stamp before a line of Ollama, with or without brackets or a bar, and then before any line",
        f"2026-03-01 19:04:05 {_SLOG}",
        rf"^\[?(?P<stamp>{_DATE}[T ]{_TIME}(?:[.,]\d{{1,9}})?)(?: ?(?P<zone>{_ANY_ZONE}))?\]?:?(?: (?:\| )?{_TAIL}|$)",
        "stamp naive",
        is_weak=True,
    ),
    Wrapper(
        "stamp-short",
        "Stamp without year that another program put before the line",
        "the same signs as `stamp`",
        f"Mar 01 19:04:05 {_SLOG}",
        rf"^\[?(?P<stamp>{_MONTH_DAY} {_TIME}(?:\.\d{{1,9}})?)\]?:?(?: (?:\| )?{_TAIL}|$)",
        "stamp naive",
        is_weak=True,
    ),
    Wrapper(
        "stamp-slash",
        "Stamp of Go's log package before a line that has its own stamp",
        "`2026/03/01 19:04:05 ` before a `time=` or `[GIN]` line; before other lines the stamp is Ollama's own",
        f"2026/03/01 19:04:05 {_SLOG}",
        rf"^(?P<stamp>\d{{4}}/\d\d/\d\d {_TIME}(?:\.\d+)?) (?P<body>(?:time=\d{{4}}-|\[GIN\] \d{{4}}/).*)$",
        "stamp naive",
    ),
)
POWERSHELL = Wrapper(
    "powershell",
    "Console of Windows PowerShell 5.1, ollama serve *> file",
    "`ollama : ` before the first line, lines broken at the window width, an error frame with `+ CategoryInfo`",
    f"ollama.exe : {_SLOG[:-9]}\n{_SLOG[-9:]}\nAt line:1 char:1\n+ ollama serve *> o.log\n"
    "+ ~~~~~~~~~~~~~~~~~~~~~\n    + CategoryInfo          : NotSpecified: (time=2026:String) [], RemoteException\n"
    "    + FullyQualifiedErrorId : NativeCommandError",
    r"^(?:ollama|docker|podman|kubectl|wsl|(?:[\w.-]+|[A-Z]:\\.*)\.(?:exe|EXE)) : ",
    reader="console",
)

# A line is tried against them in this order.
WRAPPERS = (*_JOURNAL, *_OBJECTS, *_CONTAINERS, *_STAMPS, POWERSHELL)
BY_NAME = {wrapper.name: wrapper for wrapper in WRAPPERS}
