"""A picture of an HTML page as a small PNG, which carries the words it shows so that they can be checked without a browser."""

from __future__ import annotations

import base64
import json
import re
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from support import browser

WIDTH, HEIGHT = 1000, 980
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"Description"
# Each text that stands wholly inside the picture, in the order of the page.
_VISIBLE = """(() => {
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, range = document.createRange();
        range.selectNodeContents(node);
        const place = range.getBoundingClientRect(), text = node.textContent.replace(/\\s+/g, ' ').trim();
        if (text && place.height && place.bottom <= HEIGHT) found.push(text);
    }
    return found;
})()"""


def take(html: str) -> bytes:
    """A PNG of the top of a page, as Chromium shows it."""
    with tempfile.TemporaryDirectory() as folder, browser.opened(Path(folder, "profile")) as tab:
        path = Path(folder, "page.html")
        path.write_text(html, encoding="utf-8")
        tab.show(width=WIDTH, height=HEIGHT)
        tab.open(path)
        words = tab.value(_VISIBLE.replace("HEIGHT", str(HEIGHT)))
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "scale": 1}
        shot = tab.ask("Page.captureScreenshot", format="png", clip=clip)["data"]
    return _small(base64.b64decode(shot), words)


def words(png: bytes) -> list[str]:
    """The texts that a picture of ``take`` shows."""
    described = (data for kind, data in _chunks(png) if kind == b"iTXt" and data.startswith(_KEYWORD + b"\0"))
    found: list[str] = json.loads(next(described).removeprefix(_KEYWORD + b"\0\0\0\0\0").decode())
    return found


def size(png: bytes) -> tuple[int, int]:
    """Width and height."""
    width, height = struct.unpack(">II", next(_chunks(png))[1][:8])
    return width, height


def texts(html: str) -> list[str]:
    """The texts of a page in its order, as ``words`` has them."""
    reader = _Texts()
    reader.feed(html)
    return [text for text in reader.found if text]


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._parts: list[str] = []
        self._is_hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_hidden = tag in {"style", "script", "title"}

    def handle_endtag(self, tag: str) -> None:
        self._is_hidden = False

    def handle_data(self, data: str) -> None:
        if not self._is_hidden:
            self.found.append(re.sub(r"\s+", " ", data).strip())


def _small(png: bytes, shown: list[str]) -> bytes:
    """The same picture with at most 256 colours, as text and plain areas need no more."""
    width, height = size(png)
    pixels = _pixels(png, width)
    # Five bits a channel keep the shades at the edges of letters; the rarest of them take the nearest colour.
    coarse = [bytes(min(255, (value + 4) >> 3 << 3) for value in row) for row in pixels]
    colours = Counter(row[at : at + 3] for row in coarse for at in range(0, len(row), 3))
    palette = [colour for colour, _ in colours.most_common(256)]
    places = {colour: number for number, colour in enumerate(palette)}
    for colour in colours.keys() - places.keys():
        places[colour] = min(
            range(len(palette)),
            key=lambda number: sum((a - b) ** 2 for a, b in zip(palette[number], colour, strict=True)),
        )
    lines = b"".join(b"\0" + bytes(places[row[at : at + 3]] for at in range(0, len(row), 3)) for row in coarse)
    text = _KEYWORD + b"\0\0\0\0\0" + json.dumps(shown, ensure_ascii=False).encode()
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"iTXt", text), (b"IDAT", zlib.compress(lines, 9)))
    return _SIGNATURE + b"".join(_chunk(*one) for one in (*chunks, (b"IEND", b"")))


def _pixels(png: bytes, width: int) -> Iterator[bytes]:
    """Rows of red, green and blue, with the filters of the format undone."""
    bits, colour = next(_chunks(png))[1][8:10]
    assert (bits, colour) in {(8, 2), (8, 6)}, "not the PNG of a screenshot"
    step = 4 if colour == 6 else 3
    data = zlib.decompress(b"".join(part for kind, part in _chunks(png) if kind == b"IDAT"))
    before = bytearray(width * step)
    for start in range(0, len(data), width * step + 1):
        row = bytearray(data[start + 1 : start + 1 + width * step])
        _unfilter(data[start], row, before, step)
        yield bytes(value for at, value in enumerate(row) if at % step < 3)
        before = row


def _unfilter(kind: int, row: bytearray, before: bytearray, step: int) -> None:
    for at in range(len(row)):
        left, up = (row[at - step] if at >= step else 0), before[at]
        if kind == 1:
            row[at] = (row[at] + left) & 255
        elif kind == 2:
            row[at] = (row[at] + up) & 255
        elif kind == 3:
            row[at] = (row[at] + (left + up) // 2) & 255
        elif kind == 4:
            corner = before[at - step] if at >= step else 0
            row[at] = (row[at] + _paeth(left, up, corner)) & 255


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
