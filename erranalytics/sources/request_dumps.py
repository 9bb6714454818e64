"""The folder of OLLAMA_DEBUG_LOG_REQUESTS: one line per dumped request, with sizes and options but no text of prompts.

Ollama writes every inference request into a file ``20260301T110405.416409123Z-000001_api_chat_body.json``, together
with a script ``…_request.sh`` that sends it again (server/inference_request_log.go@v0.24.0). The stamp is the end of
the request, and its arrival once ollama#17437 is merged. Only the fields listed here are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erranalytics.errors import InputError

_NAME = re.compile(r"(\d{8}T\d{6}\.\d{9}Z)-(\d{6,})_([A-Za-z0-9_]+)_(?:body\.json|request\.sh)$")
_MODEL = re.compile(r"[^\s\"\\<>{}]{1,256}")
_KEEP_ALIVE = re.compile(r"-?(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h)?)+")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "max")
_FORMATS = {"json": "json", "json_object": "json", "json_schema": "schema"}
# api/types.go@v0.24.0 Options and its earlier fields, and the numbers of the OpenAI and Anthropic routes.
_OPTION_NAMES = """
num_keep seed num_predict top_k top_p min_p typical_p tfs_z repeat_last_n temperature repeat_penalty presence_penalty
frequency_penalty mirostat mirostat_tau mirostat_eta penalize_newline numa num_ctx num_batch num_gpu main_gpu low_vram
f16_kv logits_all vocab_only use_mmap use_mlock num_thread max_tokens max_completion_tokens max_output_tokens n
"""
OPTIONS = frozenset(_OPTION_NAMES.split())
# Keys that records of applications have and requests do not; keys of which a request has at least one.
_TIMES = frozenset(("ts", "time", "timestamp", "asctime", "created_at", "created", "done", "error", "status_code"))
_QUESTIONS = frozenset(("messages", "prompt", "input"))
_HEAD_BYTES = 64
_LARGEST = 64 << 20
_TEXTS = ("prompt", "system", "suffix", "template", "input", "instructions")


@dataclass(frozen=True, slots=True)
class DumpFolder:
    """The dumps of one folder, read as one source; ``uri`` is the folder, or the file if only one was named."""

    uri: str
    paths: tuple[str, ...]

    def summary(self) -> str:
        """One line: what is read and what is not.

        >>> DumpFolder("x", ("x/a_body.json", "x/b_body.json")).summary()
        '2 dumped requests, without their text'
        """
        return f"{len(self.paths)} dumped request{'s' if len(self.paths) != 1 else ''}, without their text"


def is_dump(path: str) -> bool:
    """Whether a file is the body of a dumped request: by its name, or because it holds one request to Ollama.

    >>> is_dump("/tmp/x/20260301T110405.416409123Z-000001_api_chat_body.json"), is_dump("/tmp/x/server.log")
    (True, False)
    """
    return is_named(path) or _is_request(Path(path))


def is_named(path: str) -> bool:
    """Whether a file has the name Ollama gives a dump.

    >>> is_named("/tmp/x/20260301T110405.416409123Z-000001_api_chat_body.json"), is_named("/tmp/x/body.json")
    (True, False)
    """
    return path.endswith("_body.json") and _NAME.search(path) is not None


def is_companion(path: str) -> bool:
    """Whether a file is the script that sends a dump again; it adds nothing to the dump."""
    return path.endswith("_request.sh") and _NAME.search(path) is not None


def _is_request(path: Path) -> bool:
    """Whether a file is a dump under another name: read as a log, it would show its prompt."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return False
        with path.open("rb") as handle:
            head = handle.read(_HEAD_BYTES)
        if not head.lstrip().startswith(b"{") or b'"model"' not in path.read_bytes():
            return False
        request = _decoded(path.read_bytes())
    except OSError:
        return False
    return (
        request is not None and not _TIMES & request.keys() and "model" in request and bool(_QUESTIONS & request.keys())
    )


def grouped(names: Iterable[str | InputError]) -> Iterator[str | InputError | DumpFolder]:
    """The names without scripts, and with the dumps of a folder as one ``DumpFolder`` in place of the first."""
    listed = list(names)
    folders: dict[Path, list[str]] = {}
    for name in listed:
        if isinstance(name, str) and is_named(name):
            folders.setdefault(Path(name).parent, []).append(name)
    for name in listed:
        if not isinstance(name, str):
            yield name
        elif is_named(name):
            paths = folders.pop(Path(name).parent, [])
            if paths:
                yield DumpFolder(paths[0] if len(paths) == 1 else str(Path(name).parent), tuple(paths))
        elif not is_companion(name):
            yield DumpFolder(name, (name,)) if is_dump(name) else name


def collect(paths: Sequence[str]) -> bytes:
    """JSON Lines, one per dump in the order of the requests, for ``formats/request-dump.toml``.

    Raises:
        InputError: a file cannot be read.
    """
    by_name = sorted(paths, key=lambda path: Path(path).name)
    return b"".join(json.dumps(_facts(path)).encode() + b"\n" for path in by_name)


def _facts(path: str) -> dict[str, Any]:
    try:
        body = Path(path).read_bytes()
    except OSError as error:
        hint = "Dumps belong to the user that runs Ollama: read them as that user, or with sudo."
        raise InputError(
            f"cannot be read: {(error.strerror or str(error)).lower()}", location=path, hint=hint
        ) from None
    request = _decoded(body)
    model = _matching(_MODEL, (request or {}).get("model"))
    name = _name_facts(path)
    facts = name | {"message": f"{name['endpoint'] or 'request'} {model or ''}".rstrip(), "model": model}
    return facts | (_measures(request) if request is not None else {"damaged": True}) | {"body_bytes": len(body)}


def _name_facts(path: str) -> dict[str, Any]:
    """The facts in the name of a dump; a renamed dump has only its name, no time."""
    found = _NAME.search(path)
    if found is None:
        return {"request_dump": Path(path).name.replace('"', "'"), "ts": None, "seq": None, "endpoint": None}
    stamp, number, route = found.groups()
    day, time = stamp[:8], stamp[9:]
    return {
        "request_dump": found[0].removesuffix("_body.json"),
        "ts": f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:13]}Z",
        "seq": int(number),
        # sanitizeRouteForFilename replaces all but letters and digits by underscores; no route contains an underscore.
        "endpoint": "/" + route.replace("_", "/"),
    }


def _decoded(body: bytes) -> dict[str, Any] | None:
    try:
        request = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def _measures(request: dict[str, Any]) -> dict[str, Any]:
    """The parts of a request that may be shown: numbers, switches and words of a known set."""
    messages = request.get("messages", request.get("input"))
    messages = _dicts(messages)
    wanted = request.get("format") or request.get("response_format")
    options = request.get("options")
    numbers = {**request, **(options if isinstance(options, dict) else {})}
    stream = request.get("stream")
    alive = request.get("keep_alive")
    return {
        "stream": stream if isinstance(stream, bool) else None,
        "options": {key: numbers[key] for key in sorted(OPTIONS & numbers.keys()) if _is_number(numbers[key])},
        "keep_alive": alive if _is_number(alive) else _matching(_KEEP_ALIVE, alive),
        "format": _format(wanted),
        "think": _effort(request.get("think", request.get("reasoning_effort"))),
        "message_count": len(messages),
        "image_count": _image_count(request) + sum(map(_image_count, messages)),
        "tool_count": len(request["tools"]) if isinstance(request.get("tools"), list) else 0,
        "prompt_chars": sum(_chars(request.get(name)) for name in _TEXTS)
        + sum(_chars(message.get("content")) for message in _dicts(request.get("messages"))),
    }


def _is_number(value: Any) -> bool:
    # DuckDB reads integers of up to 64 bits; NaN and infinity are not JSON.
    return isinstance(value, bool | int | float) and abs(value) < 2**63


def _matching(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _effort(value: Any) -> bool | str | None:
    return value if isinstance(value, bool) or value in _EFFORTS else None


def _format(wanted: Any) -> str | None:
    if isinstance(wanted, dict):
        return _FORMATS.get(str(wanted.get("type")), "schema")
    return _FORMATS.get(wanted) if isinstance(wanted, str) else None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _image_count(holder: dict[str, Any]) -> int:
    """The number of images in a request or message: a list (Ollama), or parts of its content (OpenAI, Anthropic)."""
    own = holder.get("images")
    parts = [part for part in _dicts(holder.get("content")) if "image" in str(part.get("type"))]
    return (len(own) if isinstance(own, list) else 0) + len(parts)


def _chars(value: Any) -> int:
    """The length of all texts in a value, images left out."""
    match value:
        case str():
            return len(value)
        case list():
            return sum(map(_chars, value))
        case dict():
            return _chars(value.get("text")) + _chars(value.get("content"))
        case _:
            return 0
