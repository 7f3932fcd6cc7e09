"""What every object of a root tells the dynamic linker, each content read once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.elf.linking.dynamic import Dynamic, Outline, read_outline
from slimmer.elf.linking.symbols import Wanted
from slimmer.elf.object import ET_DYN, ET_EXEC, is_elf, parse
from slimmer.errors import ElfError
from slimmer.readahead import fetched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimmer.content import Content
    from slimmer.elf.linking.symbols import Table

    Read = Dynamic | ElfError | None

TEXTS = (
    *(".py", ".pyc", ".pyi", ".pyx", ".pxd", ".pxi", ".tp", ".typed", ".pl", ".pm", ".ph", ".pod", ".js", ".cmake"),
    *(".c", ".cc", ".cpp", ".cu", ".cuh", ".f", ".f90", ".h", ".hpp", ".inc", ".in", ".tcc", ".html", ".css", ".csv"),
    *(".rst", ".txt", ".md", ".json", ".mo", ".png", ".npy", ".npz", ".mat", ".sav", ".gz", ".deb", ".whl", ".crt"),
    *(".md5sums", ".list", ".triggers", ".shlibs", ".symbols", ".conffiles"),
)
"""Ends of names that no loader is asked for: most of an image's files, and each would have to be opened to be sure."""

_HEADERS = 16 << 10
"""Bytes from an object's beginning that are read of nearly every one: its header, its segments, what it needs."""


@dataclass(frozen=True, slots=True)
class Known:
    """What contents were read as."""

    read: Mapping[Content, Read]
    """An error for what begins as an object and cannot be read, None for what is none."""
    wanted: Wanted
    """What was kept of the symbols that they define."""
    contents: Mapping[str, Content]
    """Those that are objects, by the paths that they were asked for by."""
    tables: Mapping[Content, Table]


def read_all(contents: Mapping[str, Content], known: Known | None) -> Known:
    """Read each of CONTENTS, but those that are KNOWN; of the symbols that they define keep what any of them looks up.

    All are asked first what they look up, for what they define is several times as much and would be held at once.
    Where a path has another content than it had, symbols are taken from what is known if what they are read from is
    the same, byte for byte.
    """
    keys = dict(known.wanted.keys) if known is not None else {}
    read: dict[Content, Read] = {}
    outlines: dict[Content, Outline] = {}
    for path, content in _fetched(contents, known):
        if content in read or content in outlines:
            continue
        if known is not None and content in known.read:
            read[content] = known.read[content]
            continue
        was = known.contents.get(path) if known is not None else None
        before = known.read[was] if known is not None and was is not None else None
        like = known.tables.get(was) if known is not None and was is not None else None
        found = _outlined(content, keys, like)
        if not isinstance(found, Outline):
            read[content] = found
        elif found.table is like and isinstance(before, Dynamic):
            read[content] = replace(found.dynamic, symbols=before.symbols)
        else:
            outlines[content] = found
    if known is not None and len(keys) > len(known.wanted.keys):
        return read_all(contents, None)  # what is new looks up what was not kept of the others
    wanted = known.wanted if known is not None else Wanted(keys)
    # Copies of one library, in several environments say, have their symbols once.
    alike = {found: found for found in read.values() if isinstance(found, Dynamic)}
    tables: dict[Content, Table] = {}
    for content in list(outlines):
        outline = outlines.pop(content)
        try:
            dynamic = outline.complete(wanted)
        except ElfError as error:
            read[content] = _kept(error)
        else:
            read[content] = dynamic = alike.setdefault(dynamic, dynamic)
            tables[content] = replace(outline.table, undefined=dynamic.symbols.undefined)
    objects = {path: content for path, content in contents.items() if read[content] is not None}
    return Known(read, wanted, objects, tables)


def _fetched(contents: Mapping[str, Content], known: Known | None) -> Iterator[tuple[str, Content]]:
    """Give CONTENTS; the headers of those that are not KNOWN are fetched meanwhile."""

    def unread(item: tuple[str, Content]) -> Content | None:
        return item[1] if known is None or item[1] not in known.read else None

    return fetched(contents.items(), unread, _HEADERS)


def _outlined(content: Content, keys: dict[bytes, bytes], like: Table | None) -> Outline | ElfError | None:
    try:
        if not is_elf(content):
            return None
        elf = parse(content)
        return read_outline(elf, keys, like) if elf.header.type in {ET_DYN, ET_EXEC} else None
    except ElfError as error:
        return _kept(error)


def _kept(error: ElfError) -> ElfError:
    """Give the error without its traceback, which would hold what was read."""
    return ElfError(str(error))
