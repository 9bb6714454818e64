"""The data files of the package as plain values, read from TOML and CSV, and the prepared files made from them.

Values are checked only if the caller passes a test. The module needs only the standard library, because nothing else is
installed where a wheel is built.

A prepared file is JSON of values that were read and checked, so that a command need not read hundreds of TOML files. A
wheel contains its prepared files. In a checkout they are made when first needed, in ``__prepared__``, like byte code in
``__pycache__``. The first line of a prepared file holds a digest of the files it was made from and one of its own
content. If either differs, it is made again; if it cannot be written, the data files are read each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from erranalytics.errors import FormatError

PACKAGE = Path(__file__).parent
FOLDER = PACKAGE / "__prepared__"
RULES = PACKAGE / "classification" / "rules"
# What else decides on a verdict.
WITH_RULES = ("classification/innermost.toml", "classification/facts.toml")
_TABLES = {
    "innermost": "classification/innermost.toml",
    "facts": "classification/facts.toml",
    "load_facts": "derivation/load_facts.toml",
    "settings": "ollama/settings.toml",
}
_READERS = ("datafiles.py",)
_FORMAT_READERS = ("parsing/lineformats.py", "parsing/format_files.py", "schema.py")
_MAPPING_READERS = ("parsing/format_files.py", "schema.py")

Severity = Literal["info", "warning", "error", "critical"]
Confidence = Literal["certain", "likely", "guess"]
# Raises a ValueError if the values of a file are wrong.
Test = Callable[[dict[str, Any]], object]


@cache
def table(name: str) -> dict[str, Any]:
    """The values of the file ``<name>.toml``: ``innermost``, ``facts``, ``load_facts`` or ``settings``."""
    return dict(prepared("tables", table_files(), tables)[name])


def table_files() -> list[str]:
    """The files from which the tables are prepared."""
    return [*_READERS, *_TABLES.values()]


def tables() -> dict[str, Any]:
    """The values of the tables by name."""
    return {name: _toml(_text(path)) for name, path in _TABLES.items()}


def rule_files() -> list[str]:
    """The files from which the rulebook is prepared."""
    with os.scandir(RULES) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir())
    rules = [path for folder in folders for path in listed(f"classification/rules/{folder}")]
    return [
        *_READERS,
        "classification/taxonomy.py",
        "classification/rule.py",
        "classification/rulebook.py",
        "classification/rule_files.py",
        "classification/taxonomy.csv",
        *WITH_RULES,
        "classification/rules/families.toml",
        *rules,
    ]


def families() -> tuple[str, ...]:
    """The families in the order in which they are tried."""
    return tuple(_toml(_text("classification/rules/families.toml"))["order"])


def rules() -> Iterator[dict[str, Any]]:
    """The values of the shipped rule files, with the folder and the path of each."""
    for path in sorted(RULES.glob("*/*.toml")):
        yield _toml(path.read_text("utf-8")) | {"family": path.parent.name, "path": str(path)}


def format_files() -> list[str]:
    """The files from which the line formats are prepared."""
    return [*_READERS, *_FORMAT_READERS, "parsing/formats/order.txt", *listed("parsing/formats")]


def formats(test: Test | None = None) -> dict[str, Any]:
    """The line formats in their declared order, under ``formats``, and the ``hash`` of their files.

    Raises:
        FormatError: with every fault of every file.
    """
    order, common = _text("parsing/formats/order.txt").split(), _text("parsing/formats/shared.toml")
    shared = _toml(common)
    digest = hashlib.sha256("\n".join([*order, common]).encode())
    for name in order:
        digest.update(_text(f"parsing/formats/{name}.toml").encode())
    values = _each("parsing/formats", order, test, lambda data: _with_shared(data, shared))
    return {"formats": values, "hash": digest.hexdigest()}


def mapping_files() -> list[str]:
    """The files from which the mappings are prepared."""
    return [*_READERS, *_MAPPING_READERS, "calls/mappings/order.txt", *listed("calls/mappings")]


def mappings(test: Test | None = None) -> list[dict[str, Any]]:
    """The mappings in the order in which they are tried.

    Raises:
        FormatError: with every fault of every file.
    """
    return _each("calls/mappings", _text("calls/mappings/order.txt").split(), test, lambda data: data)


def _each(
    folder: str, order: Sequence[str], test: Test | None, complete: Callable[[dict[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The values of the files of a folder, in the given order."""
    values, faults = [], []
    for name in order:
        try:
            data = complete(_toml(_text(f"{folder}/{name}.toml")))
            if test:
                test(data)
            values.append(data)
        except (ValueError, KeyError) as error:
            faults.append(f"{folder}/{name}.toml: {error}")
    if faults:
        raise FormatError.from_faults(faults)
    return values


def _with_shared(data: dict[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a format with each ``@name`` replaced by its value in ``shared.toml``; in a list, by its items."""
    for key, value in data.items():
        if isinstance(value, str) and value.startswith("@"):
            data[key] = shared[value[1:]]
        elif key == "continues":
            lists = (shared[name[1:]] if name.startswith("@") else [name] for name in value)
            data[key] = [name for names in lists for name in names]
    return data


def _text(path: str) -> str:
    return (PACKAGE / path).read_text(encoding="utf-8")


def _toml(text: str) -> dict[str, Any]:
    # Imported here because it is needed only if there is no prepared file.
    import tomllib

    return tomllib.loads(text)


# --- prepared files --------------------------------------------------------------------------------------------------


def prepared(name: str, files: Sequence[str], read: Callable[[], Any]) -> Any:
    """The result of ``read``, taken from the prepared file if that was made from the files in their current state.

    Args:
        name: the name of the prepared file.
        files: all files that are read and the code that reads them, by their paths below the package.
        read: reads the files; returns values that JSON can hold.

    Returns:
        Plain values, with lists for tuples.
    """
    key = state(files)
    values = _read(FOLDER / f"{name}.json", key)
    if values is None:
        body = _body(read())
        values = json.loads(body)
        try:
            _write(FOLDER / f"{name}.json", key, body)
        except OSError:
            # An installation for all users may be read-only; it came with its prepared files.
            pass
    return values


def cached_file(stem: str, key: str, ending: str, make: Callable[[Path], None]) -> Path | None:
    """The file ``STEM-KEY.ENDING``, next to the prepared files or in the user's cache; made if it is in neither.

    Args:
        stem: the kind of file. When a file with a new key is made, those with older keys are removed.
        key: a digest of what it is made from.
        ending: the ending of its name.
        make: writes the file to a path that does not exist.

    Returns:
        The file, or None if neither folder can hold it.
    """
    name = f"{stem}-{key}.{ending}"
    for folder in _folders():
        if (folder / name).is_file():
            return folder / name
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{stem}-", dir=folder) as new:
                make(Path(new) / name)
                # The file appears complete or not at all, even if another process makes it at the same time.
                (Path(new) / name).replace(folder / name)
            for other in set(folder.glob(f"{stem}-*.{ending}")) - {folder / name}:
                other.unlink(missing_ok=True)
        except OSError:
            continue
        return folder / name
    return None


def _folders() -> Iterator[Path]:
    yield FOLDER
    import platformdirs

    yield Path(platformdirs.user_cache_dir("erranalytics"))


def write_prepared(folder: Path, name: str, files: Sequence[str], made: object) -> Path:
    """Write a prepared file into a folder.

    Args:
        folder: where to write it.
        name: the name of the prepared file.
        files: the files it was made from.
        made: its values.

    Returns:
        The path of the prepared file.
    """
    path = folder / f"{name}.json"
    _write(path, state(files), _body(made))
    return path


def state(files: Sequence[str]) -> str:
    """A digest of the names and bytes of files of the package; a missing file counts as empty."""
    digest = hashlib.sha256()
    for name in files:
        try:
            with FileIO(f"{PACKAGE}/{name}") as file:
                data = file.read()
        except OSError:
            data = b""
        # Reports are next to the package in a checkout, and inside it once installed.
        digest.update(b"%s %d\n" % (name.removeprefix("../").encode(), len(data)))
        digest.update(data)
    return digest.hexdigest()


def listed(folder: str, ending: str = ".toml") -> list[str]:
    """The files of a folder of the package, by their paths below the package, sorted."""
    with os.scandir(f"{PACKAGE}/{folder}") as entries:
        return sorted(f"{folder}/{entry.name}" for entry in entries if entry.name.endswith(ending))


def _body(made: object) -> bytes:
    # json.dumps escapes to ASCII, which is read twice as fast.
    return json.dumps(made, separators=(",", ":")).encode()


def _head(key: str, body: bytes) -> bytes:
    return f"{key} {hashlib.sha256(body).hexdigest()}\n".encode()


def _read(path: Path, key: str) -> Any:
    """The values of a prepared file; None if there is none with this key, or if it is damaged."""
    try:
        head, end, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return json.loads(body) if head + end == _head(key, body) else None


def _write(path: Path, key: str, body: bytes) -> None:
    """Write a prepared file in one step, so that a reader sees either the old one or the new one."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(_head(key, body) + body)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
