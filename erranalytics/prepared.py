"""What is made once of the files of the package, so that a command need not read hundreds of files of TOML.

A form is what was read and found right, as JSON. A wheel brings its forms along; in a checkout they are made when they
are first needed and lie in ``data/prepared``, as byte code lies in ``__pycache__``. The first line of a form says of
which bytes of which files it was made, and what it holds: a form that says anything else is made anew, and where
nothing can be written the files are read each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

PACKAGE = str(Path(__file__).parent)
FOLDER = Path(PACKAGE, "data", "prepared")


def values(name: str, files: Sequence[str], read: Callable[[], Any]) -> Any:
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


def file(stem: str, key: str, ending: str, make: Callable[[Path], None]) -> Path | None:
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


def write(folder: Path, name: str, files: Sequence[str], made: object) -> Path:
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
