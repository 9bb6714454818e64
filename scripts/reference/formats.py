"""The page about input: the wrappers of lines, and every line format with its samples."""

from __future__ import annotations

from collections.abc import Iterator

from erranalytics.parsing import lineformats
from erranalytics.parsing.lineformats import LineFormat
from erranalytics.wrappers import forms
from erranalytics.wrappers.forms import Wrapper
from scripts.reference.markdown import GENERATED, code, escape, fence, first_line, page, table

HEAD = """erranalytics looks at the first lines of an input to find out what it is; the name of the file does not
matter. Text may be UTF-8 or UTF-16. Archives are unpacked while they are read."""
WRAPPERS_HEAD = """Each line is recognised by its own shape, so a file may change its wrapper in the middle, and one
wrapper may be inside another: `journald-short+compose` is the journal of a compose service. `--format` overrides
detection. It takes one of the names below, or several joined by `+` with the outermost first; `plain` is a log as
Ollama wrote it. When a line has several stamps, the one nearest to the text counts, unless it has no zone and a stamp
further out has one. `erranalytics doctor FILE` shows what a file holds."""
LINES_HEAD = """A line has the first of these {formats} formats that matches it. A line that matches none has the format
`unknown`. It is kept all the same, and it can still be classified."""


def pages() -> dict[str, str]:
    """The text of the page by its path below ``docs``."""
    book = lineformats.load()
    rows = ((code(form.name), form.title, form.owner) for form in book.formats)
    return {
        "formats.md": page(
            [
                "# Input and line formats",
                GENERATED,
                HEAD,
                "## Wrappers around the lines",
                WRAPPERS_HEAD,
                *(part for wrapper in forms.WRAPPERS for part in _wrapper(wrapper)),
                "## Lines",
                LINES_HEAD.format(formats=len(book.formats)),
                table(("format", "what it is", "written by"), rows),
                *(part for form in book.formats for part in _format(form)),
            ]
        )
    }


def _wrapper(wrapper: Wrapper) -> Iterator[str]:
    title = code(wrapper.title) if wrapper.title[0].islower() else escape(wrapper.title)
    yield f"#### {wrapper.name}"
    yield f"{title}, recognised by {wrapper.recognised_by}."
    yield fence("text", wrapper.sample.replace("\x1e", "\N{SYMBOL FOR RECORD SEPARATOR}").split("\n"))


def _format(form: LineFormat) -> Iterator[str]:
    yield f"### {form.name}"
    yield f"{escape(form.title)}. Written by: {form.owner}."
    if "\n" in form.pattern:
        yield "Pattern:"
        yield fence("text", [form.pattern.strip()])
    else:
        yield f"Pattern: {code(form.pattern)}"
    if form.units:
        yield f"Only for the syslog identifiers {', '.join(map(code, form.units))}."
    yield from _properties(form)
    yield fence("text", [first_line(sample.line) for sample in form.sample])
    yield "Source: " + ", ".join(f"<{text}>" for text in form.references)


def _properties(form: LineFormat) -> Iterator[str]:
    """The surface of its errors, its clock, and the text that ``reclassify`` rebuilds."""
    words = [f"Surface of its errors: {code(form.surface)}."]
    if form.clock:
        clocks = " or ".join(code(name) for name in dict.fromkeys((form.clock, form.local)) if name)
        words.append(f"Its own stamp is {clocks} in `ts_source`.")
    words += ["Each line is one answered request."] if form.access else []
    yield " ".join(words)
    if texts := [sample.rebuilt for sample in form.sample if sample.rebuilt]:
        yield "From the store, the rules read it as:"
        yield fence("text", [texts[0]])
