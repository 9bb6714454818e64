"""The data files of the package as plain values, as they stand in TOML and CSV; and what is prepared of them once.

Nothing is checked here unless a test is given, and the standard library is all that is needed: where a wheel is built,
there is nothing else.

A form is what was read and found right, as JSON, so that a command need not read hundreds of files of TOML. A wheel
brings its forms along; in a checkout they are made when they are first needed and lie in ``__prepared__``, as byte code
lies in ``__pycache__``. The first line of a form says of which bytes of which files it was made, and what it holds: a
form that says anything else is made anew, and where nothing can be written the files are read each time.
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
    "settings": "ollama/settings.toml",
}
_READERS = ("datafiles.py",)
_FORMAT_READERS = ("parsing/lineformats.py", "parsing/format_files.py", "schema.py")
_MAPPING_READERS = ("parsing/format_files.py", "schema.py")

Severity = Literal["info", "warning", "error", "critical"]
Confidence = Literal["certain", "likely", "guess"]
# Raises a ValueError where the values of a file are wrong.
Test = Callable[[dict[str, Any]], object]


@cache
def table(name: str) -> dict[str, Any]:
    """The values of the file ``<name>.toml``: ``innermost``, ``facts`` or ``settings``."""
    return dict(prepared("tables", table_files(), tables)[name])


def table_files() -> list[str]:
    """What the form of the tables is made of."""
    return [*_READERS, *_TABLES.values()]


def tables() -> dict[str, Any]:
    """The values of the tables by name."""
    return {name: _toml(_text(path)) for name, path in _TABLES.items()}


def rule_files() -> list[str]:
    """What the form of the rulebook is made of."""
    with os.scandir(RULES) as found:
        folders = sorted(entry.name for entry in found if entry.is_dir())
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
    """The declared families, in the order in which they are tried."""
    return tuple(_toml(_text("classification/rules/families.toml"))["order"])


def rules() -> Iterator[dict[str, Any]]:
    """The values of the files of the shipped rules, with the folder and the path of each."""
    for path in sorted(RULES.glob("*/*.toml")):
        yield _toml(path.read_text("utf-8")) | {"family": path.parent.name, "path": str(path)}


def format_files() -> list[str]:
    """What the form of the line formats is made of."""
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
    found = _each("parsing/formats", order, test, lambda data: _with_shared(data, shared))
    return {"formats": found, "hash": digest.hexdigest()}


def mapping_files() -> list[str]:
    """What the form of the mappings is made of."""
    return [*_READERS, *_MAPPING_READERS, "calls/mappings/order.txt", *listed("calls/mappings")]


def mappings(test: Test | None = None) -> list[dict[str, Any]]:
    """The mappings in the order in which they are tried.

    Raises:
        FormatError: with every fault of every file.
    """
    return _each("calls/mappings", _text("calls/mappings/order.txt").split(), test, lambda data: data)


def _each(
    folder: str, order: Sequence[str], test: Test | None, whole: Callable[[dict[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The values of the files of a folder that are named in order."""
    found, faults = [], []
    for name in order:
        try:
            data = whole(_toml(_text(f"{folder}/{name}.toml")))
            if test:
                test(data)
            found.append(data)
        except (ValueError, KeyError) as error:
            faults.append(f"{folder}/{name}.toml: {error}")
    if faults:
        raise FormatError.from_faults(faults)
    return found


def _with_shared(data: dict[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a format with what it names of ``shared.toml`` by ``@name``; in a list, a list in its place."""
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
    # Only where there is no form.
    import tomllib

    return tomllib.loads(text)


# --- forms -----------------------------------------------------------------------------------------------------------


def prepared(name: str, files: Sequence[str], read: Callable[[], Any]) -> Any:
    """What ``read`` makes of the files, from the form of that name where it is of these files as they are now.

    Args:
        name: of the form.
        files: all that is read and the code that reads it, by their paths below the package.
        read: reads the files; gives what JSON can hold.

    Returns:
        Plain values, tuples as lists.
    """
    key = state(files)
    found = _kept(FOLDER / f"{name}.json", key)
    if found is None:
        body = _body(read())
        found = json.loads(body)
        try:
            _write(FOLDER / f"{name}.json", key, body)
        except OSError:
            # Of an installation for all users nobody else may write; it has its forms already.
            pass
    return found


def cached_file(stem: str, key: str, ending: str, make: Callable[[Path], None]) -> Path | None:
    """The file ``STEM-KEY.ENDING``, beside the forms or in the user's cache; made where it is in neither.

    Args:
        stem: what it is. When one of another key is made, those before it are removed.
        key: what it is made from; another key is another file.
        ending: the ending of its name.
        make: writes it to a path that does not exist.

    Returns:
        The file, or None where it can be kept nowhere.
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
                # Whole or not at all, whoever else makes it at this moment.
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
    """Write a form into a folder, of what was made of the files; the path of it."""
    path = folder / f"{name}.json"
    _write(path, state(files), _body(made))
    return path


def state(files: Sequence[str]) -> str:
    """A digest of the names of files of the package and of their bytes; one that is not there has none."""
    digest = hashlib.sha256()
    for name in files:
        try:
            with FileIO(f"{PACKAGE}/{name}") as file:
                data = file.read()
        except OSError:
            data = b""
        # Reports lie beside the package in a checkout, and in it once installed.
        digest.update(b"%s %d\n" % (name.removeprefix("../").encode(), len(data)))
        digest.update(data)
    return digest.hexdigest()


def listed(folder: str, ending: str = ".toml") -> list[str]:
    """The files of a folder of the package, by their paths below it, in order."""
    with os.scandir(f"{PACKAGE}/{folder}") as found:
        return sorted(f"{folder}/{entry.name}" for entry in found if entry.name.endswith(ending))


def _body(made: object) -> bytes:
    # Escaped to ASCII: that is read twice as fast.
    return json.dumps(made, separators=(",", ":")).encode()


def _head(key: str, body: bytes) -> bytes:
    return f"{key} {hashlib.sha256(body).hexdigest()}\n".encode()


def _kept(path: Path, key: str) -> Any:
    """What a form holds; None where there is none of this key, or it is damaged."""
    try:
        head, end, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return json.loads(body) if head + end == _head(key, body) else None


def _write(path: Path, key: str, body: bytes) -> None:
    """Write a form at once: who reads it meanwhile sees the old one or the new one."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(_head(key, body) + body)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
