"""What may stand around a line of Ollama, as data: one ``Layer`` per form, with a sample and how it is told.

The patterns are read by polars, see ``peeling``; a log may carry several layers, the outermost first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_DATE, _TIME = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d"
_ISO = _DATE + "T" + _TIME
_ZONE = r"Z|[+-]\d\d:?\d\d"
# A letter of any language, said in a way that costs little to compile.
LETTER = r"[A-Za-z\x{80}-\x{10FFFF}]"
# What journalctl prints as %b in any language: 7月, oct, déc., märz, févr.
_MONTH_DAY = rf" ?(?:\d{{1,2}}{LETTER}|{LETTER}{{2,8}})\.? {{1,3}}\d{{1,2}}"
_WEEKDAY = rf"{LETTER}{{1,9}}\.?"
_ABBREVIATION = r"[A-Z]{2,5}|[+-]\d\d(?:\d\d)?"
_PROCESS = (
    r"(?:(?P<host>[^\s:\[\]=]+) (?P<unit>[^\s\[:=]+)(?:\[(?P<pid>\d+)\])?"
    r"|(?P<alone>[^\s\[:=]+)\[(?P<own_pid>\d+)\]|(?P<kernel>kernel))"
)
# The clocks that count seconds stand before everything, and so does the kernel in its own buffer: a process must show.
_NUMBERED = (
    r"(?:(?P<host>[^\s:\[\]=]+) )?"
    r"(?:(?P<unit>[^\s\[:=]+)\[(?P<pid>\d+)\]|(?P<kernel>kernel))"
)
_TAIL = r"(?P<body>.*)$"
_UNIT_ID = r"(?P<unit>[^\s\[:]+\.(?:service|scope|slice|socket|mount|target|timer))(?:\[(?P<pid>\d+)\])?"

# How a line begins that Ollama wrote, beyond doubt.
OWN = (
    r"\.*(?:time=\d{4}-\d\d-\d\dT\S+ level=|\[GIN\] \d{4}/\d\d/\d\d - |\[GIN-debug\] "
    r"|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:[\w-]+\.go:\d+: |\[Recovery\] )"
    r"|\{\"(?:function|timestamp)\":.*\"level\":\"[A-Z]+\""
    r"|(?:llama|llm|ggml|gguf|clip|mtmd|print_info|load_tensors|load_backend|create_tensor|sched_reserve)[a-z0-9_]*: "
    r"|(?:srv|slot) +\w+: )"
)
# Another wrapper may stand between a weak one and the line that proves it.
EVIDENT = rf"^(?:\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S* (?:\| )?|[\w.@-]+ +\| )?{OWN}"
# What a logger of another program prints behind a stamp of its own.
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
class Layer:
    """One form of wrapper.

    ``pattern`` (Rust regex) has the groups ``stamp, zone, host, unit, pid, body``, those that the form carries.
    ``clock`` is the kind of its stamp; where ``zone`` names one beyond doubt it becomes ``…rfc3339``. ``is_weak``: the
    shape alone proves nothing, a line of Ollama must stand behind it. ``reader``: how it is taken off, ``text`` by the
    pattern. ``start``: the part of the pattern before host and process, of a text mode of journalctl.
    """

    name: str
    title: str
    told_by: str
    sample: str
    pattern: str
    clock: Clock | None = None
    is_weak: bool = False
    reader: Literal["text", "object", "docker", "export", "pretty", "verbose", "console"] = "text"
    start: str = ""


_SLOG = "time=2026-03-01T11:04:05.416Z level=INFO source=routes.go:1238 msg=ready"


def _journal(mode: str, stamp: str, clock: Clock, sample: str, *, process: str = _PROCESS, told_by: str = "") -> Layer:
    """A text mode of journalctl: a stamp, the host unless it is left out, the program and its process."""
    told = told_by or "the stamp, then `host program[pid]:`; the host may be missing, the month in any language"
    pattern = rf"^{stamp} {process}: ?{_TAIL}"
    return Layer(f"journald-{mode}", f"journalctl -o {mode}", told, sample + _SLOG, pattern, clock, start=stamp)


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
        told_by="weekday, stamp and zone, then `host name.service[pid]:`; of the zones only UTC and GMT are sure",
    ),
    _journal(
        "short-full",
        _WORDS,
        "journal naive",
        "Sun 2026-03-01 19:04:05 CST gpu01 ollama[1234]: ",
        told_by="weekday, stamp and zone, then `host program[pid]:`; of the zones only UTC and GMT are sure",
    ),
    _journal(
        "short-unix",
        r"(?P<stamp>\d{10}\.\d{6})",
        "journal unix",
        "1772363045.416409 gpu01 ollama[1234]: ",
        process=_NUMBERED,
    ),
    _journal(
        "short-monotonic",
        r"\[ *(?P<stamp>\d+\.\d{6})\]",
        "journal monotonic",
        "[21415.215982] gpu01 ollama[1234]: ",
        process=_NUMBERED,
    ),
    _journal(
        "short-delta",
        r"\[ *(?P<stamp>\d+\.\d{6}) (?:<[ \d.]*>| *)\]",
        "journal monotonic",
        "[21416.415982 <    1.200000 >] gpu01 ollama[1234]: ",
        process=_NUMBERED,
    ),
)
_FIELDS = '"__REALTIME_TIMESTAMP":"1772363045416409","_HOSTNAME":"gpu01","SYSLOG_IDENTIFIER":"ollama","_PID":"1234"'
_OBJECT = "{" + _FIELDS + f',"MESSAGE":"{_SLOG}"' + "}"
_IS_ENTRY = r'\{.*"__REALTIME_TIMESTAMP" ?: ?"'
_CURSOR = "s=23;i=1;b=7d;m=4fc5d2b3e;t=64bf46dbc2dd9;x=9a"
_OBJECTS = (
    Layer(
        "journald-json",
        "journalctl -o json",
        "an object a line with `__REALTIME_TIMESTAMP`; `MESSAGE` is text, an array of bytes, or null",
        _OBJECT,
        f"^{_IS_ENTRY}",
        "journal unix-us",
        reader="object",
    ),
    Layer(
        "journald-json-sse",
        "journalctl -o json-sse",
        "the same behind `data: `, with a blank line between",
        f"data: {_OBJECT}\n",
        f"^data: {_IS_ENTRY}",
        "journal unix-us",
        reader="object",
    ),
    Layer(
        "journald-json-seq",
        "journalctl -o json-seq",
        "the same behind the control sign U+001E",
        f"\x1e{_OBJECT}",
        f"^\x1e{_IS_ENTRY}",
        "journal unix-us",
        reader="object",
    ),
    Layer(
        "journald-json-pretty",
        "journalctl -o json-pretty",
        "`{`, fields behind a tab, `}`, among them `__REALTIME_TIMESTAMP`",
        "{\n\t" + _OBJECT[1:-1].replace('","', '",\n\t"').replace('":"', '" : "') + "\n}",
        r"^\{$",
        "journal unix-us",
        reader="pretty",
    ),
    Layer(
        "journald-export",
        "journalctl -o export",
        "`__CURSOR=`, then `FIELD=value` lines, a blank line between entries; binary fields have a length before them",
        f"__CURSOR={_CURSOR}\n__REALTIME_TIMESTAMP=1772363045416409\n_HOSTNAME=gpu01\n"
        f"SYSLOG_IDENTIFIER=ollama\n_PID=1234\nMESSAGE={_SLOG}\n",
        r"^__CURSOR=",
        "journal unix-us",
        reader="export",
    ),
    Layer(
        "journald-verbose",
        "journalctl -o verbose",
        "a stamp with the cursor in brackets, then `FIELD=value` lines behind four blanks",
        f"Sun 2026-03-01 19:04:05.416409 CST [{_CURSOR}]\n    _HOSTNAME=gpu01\n"
        f"    SYSLOG_IDENTIFIER=ollama\n    _PID=1234\n    MESSAGE={_SLOG}",
        r"^\S+ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \S+ \[s=[0-9a-f]+;i=[0-9a-f]+;.*;?t=[0-9a-f]+.*\]$",
        "journal unix-us",
        reader="verbose",
    ),
)
_CONTAINERS = (
    Layer(
        "docker-json",
        "File of docker's json-file driver",
        "an object a line with `log`, `stream` and `time`; a line without `\\n` goes on in the next of its stream",
        '{"log":"' + _SLOG + '\\n","stream":"stderr","time":"2026-03-01T11:04:05.416409123Z"}',
        r'^\{(?:.*,)?"log" ?: ?".*"(?:stream|time)" ?: ?"|^\{(?:.*,)?"time" ?: ?"\d{4}-.*"log" ?: ?"',
        "docker rfc3339",
        reader="docker",
    ),
    Layer(
        "cri",
        "File of a Kubernetes container (CRI)",
        "a stamp, `stdout` or `stderr`, `F` or `P`; a `P` goes on in the next of its stream",
        f"2026-03-01T11:04:05.416409123Z stderr F {_SLOG}",
        rf"^(?P<stamp>{_ISO}(?:\.\d+)?(?:{_ZONE})) (?P<stream>stdout|stderr) (?P<tag>[FP])(?::\S*)?(?: (?P<body>.*))?$",
        "docker rfc3339",
    ),
    Layer(
        "kubectl",
        "kubectl logs --prefix",
        "`[pod/NAME/CONTAINER] `",
        f"[pod/ollama-0/ollama] {_SLOG}",
        rf"^\[pod/(?P<host>[^/\]\s]+)/(?P<unit>[^\]\s]+)\] ?{_TAIL}",
    ),
    Layer(
        "docker",
        "docker logs --timestamps",
        "a stamp with nine digits behind the point and `Z`, also behind the name of compose or kubectl",
        f"2026-03-01T11:04:05.416409123Z {_SLOG}",
        rf"^(?P<stamp>{_ISO}\.\d{{9}}Z)(?: {_TAIL}|$)",
        "docker rfc3339",
    ),
    Layer(
        "swarm",
        "docker service logs",
        "`service.1.<25 signs>@node    | `",
        f"llm_ollama.1.k2x9wq7v5t3r1p8n6m4b0c2z7@gpu01    | {_SLOG}",
        rf"^(?P<unit>[\w.-]+\.\d+\.[a-z0-9]{{25}})@(?P<host>[\w.-]+) +\| ?{_TAIL}",
    ),
    Layer(
        "compose",
        "docker compose logs",
        "`name  | ` before a line of Ollama, or before any line once that name was seen so",
        f"ollama-1  | {_SLOG}",
        rf"^(?P<unit>[A-Za-z0-9][\w.-]*) +\|(?: {_TAIL}|$)",
        is_weak=True,
    ),
    Layer(
        "pm2",
        "pm2 logs",
        "`0|name  | ` before a line of Ollama, or before any line once that name was seen so",
        f"0|ollama  | {_SLOG}",
        rf"^\d+\|(?P<unit>[\w.@-]+) +\|(?: {_TAIL}|$)",
        is_weak=True,
    ),
)
_ANY_ZONE = r"Z|UTC|[+-]\d\d:?\d\d"
_STAMPS = (
    Layer(
        "glued-stamp",
        "Stamp that a log viewer glued to the line",
        "a stamp with `+00:00`, and the line behind it without a blank",
        f"2026-03-01 11:04:05.416409+00:00{_SLOG}",
        rf"^(?P<stamp>{_DATE} {_TIME}(?:\.\d{{6}})?)(?P<zone>\+00:00)(?P<body>(?:\S|\t| {{2}}).*)?$",
        "stamp naive",
    ),
    Layer(
        "stamp",
        "Stamp that another program put before the line",
        "a stamp before a line of Ollama, in brackets or before a bar or not; once seen, before any line",
        f"2026-03-01 19:04:05 {_SLOG}",
        rf"^\[?(?P<stamp>{_DATE}[T ]{_TIME}(?:[.,]\d{{1,9}})?)(?: ?(?P<zone>{_ANY_ZONE}))?\]?:?(?: (?:\| )?{_TAIL}|$)",
        "stamp naive",
        is_weak=True,
    ),
    Layer(
        "stamp-short",
        "Stamp without year that another program put before the line",
        "the same as `stamp`",
        f"Mar 01 19:04:05 {_SLOG}",
        rf"^\[?(?P<stamp>{_MONTH_DAY} {_TIME}(?:\.\d{{1,9}})?)\]?:?(?: (?:\| )?{_TAIL}|$)",
        "stamp naive",
        is_weak=True,
    ),
    Layer(
        "stamp-slash",
        "Stamp as the log package of Go prints it, before a line that has its own",
        "`2026/03/01 19:04:05 ` before a `time=` or `[GIN]` line; elsewhere it is Ollama's own",
        f"2026/03/01 19:04:05 {_SLOG}",
        rf"^(?P<stamp>\d{{4}}/\d\d/\d\d {_TIME}(?:\.\d+)?) (?P<body>(?:time=\d{{4}}-|\[GIN\] \d{{4}}/).*)$",
        "stamp naive",
    ),
)
CONSOLE = Layer(
    "powershell",
    "Console of Windows PowerShell 5.1, ollama serve *> file",
    "`ollama : ` before the first line, lines broken at the width of the window, an error frame with `+ CategoryInfo`",
    f"ollama.exe : {_SLOG[:-9]}\n{_SLOG[-9:]}\nAt line:1 char:1\n+ ollama serve *> o.log\n"
    "+ ~~~~~~~~~~~~~~~~~~~~~\n    + CategoryInfo          : NotSpecified: (time=2026:String) [], RemoteException\n"
    "    + FullyQualifiedErrorId : NativeCommandError",
    r"^(?:ollama|docker|podman|kubectl|wsl|(?:[\w.-]+|[A-Z]:\\.*)\.(?:exe|EXE)) : ",
    reader="console",
)

# In the order in which a line is tried against them.
LAYERS = (*_JOURNAL, *_OBJECTS, *_CONTAINERS, *_STAMPS, CONSOLE)
BY_NAME = {layer.name: layer for layer in LAYERS}
