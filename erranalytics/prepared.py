"""Files that cost time to make and depend on nothing but the program: made once and kept, as Python keeps byte code.

They lie in ``__pycache__`` beside the sources or, where that cannot be written, in the user's cache. Their name holds
what they were made from, so a file that is found is right. Where nothing can be kept, they are made each time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

BESIDE = Path(__file__).parent / "__pycache__"


def folders() -> Iterator[Path]:
    """Where prepared files may lie, best first."""
    yield BESIDE
    import platformdirs

    yield Path(platformdirs.user_cache_dir("erranalytics"))


def file(stem: str, key: str, ending: str, make: Callable[[Path], None]) -> Path | None:
    """The prepared file ``STEM-KEY.ENDING``; ``make`` writes it where it is not there yet.

    Args:
        stem: what it is. When one of another key is made, those before it are removed.
        key: what it is made from; another key is another file.
        ending: the ending of its name.
        make: writes it to a path that does not exist.

    Returns:
        The file, or None where it can be kept nowhere.
    """
    name = f"{stem}-{key}.{ending}"
    for folder in folders():
        if (folder / name).is_file():
            return folder / name
    for folder in folders():
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
