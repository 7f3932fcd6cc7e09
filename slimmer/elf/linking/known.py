"""What every object of a root tells the dynamic linker, each content read once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.elf.linking.dynamic import Dynamic, Outline, read_outline
from slimmer.elf.linking.symbols import Wanted
from slimmer.elf.object import ET_DYN, ET_EXEC, is_elf, parse
from slimmer.errors import ElfError
from slimmer.readahead import fetched
from slimmer.rootfs import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimmer.content import Content
    from slimmer.elf.linking.symbols import Table
    from slimmer.rootfs import Rootfs

    Read = Dynamic | ElfError

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
    """An error for what begins as an object and cannot be read."""
    wanted: Wanted
    """What was kept of the symbols that they define."""
    contents: Mapping[str, Content]
    """Those of them that are in the root now, by their paths, in its order."""
    tables: Mapping[Content, Table]
    rootfs: Rootfs
    """All that was looked at: what is in it, and not in `read`, is no object. Of a million files nearly all are none,
    and nothing is held of them."""

    def is_none(self, path: str, content: Content) -> bool:
        """Say whether what lies at PATH is known to be no object."""
        inode = self.rootfs.get(path)
        return inode is not None and inode.content is content and content not in self.read


def read_all(rootfs: Rootfs, known: Known | None) -> Known:
    """Read every file that may be an object, but those that are KNOWN; keep the defined symbols that any of them wants.

    All are asked first what they look up, for what they define is several times as much and would be held at once.
    Where a path has another content than it had, symbols are taken from what is known if what they are read from is
    the same, byte for byte.
    """
    keys = dict(known.wanted.keys) if known is not None else {}
    read: dict[Content, Read] = {}
    outlines: dict[Content, Outline] = {}
    contents: dict[str, Content] = {}
    for names, content in _fetched(rootfs, known):
        if content not in read and content not in outlines:
            found = _found(names[0], content, keys, known)
            if found is None:
                continue
            if isinstance(found, Outline):
                outlines[content] = found
            else:
                read[content] = found
        contents.update(dict.fromkeys(names, content))
    if known is not None and len(keys) > len(known.wanted.keys):
        return read_all(rootfs, None)  # what is new looks up what was not kept of the others
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
    objects = {path: contents[path] for path in in_order(contents)}
    return Known(read, wanted, objects, tables, rootfs)


def _found(path: str, content: Content, keys: dict[bytes, bytes], known: Known | None) -> Read | Outline | None:
    """Give what is known of a content, or else what it looks up, which is added to KEYS; None for no object."""
    if known is None:
        return _outlined(content, keys, None)
    if content in known.read:
        return known.read[content]
    was = known.contents.get(path)
    if was is None:
        return _outlined(content, keys, None)
    before, like = known.read[was], known.tables.get(was)
    found = _outlined(content, keys, like)
    if isinstance(found, Outline) and found.table is like and isinstance(before, Dynamic):
        return replace(found.dynamic, symbols=before.symbols)
    return found


def _candidates(rootfs: Rootfs, known: Known | None) -> Iterator[tuple[list[str], Content]]:
    """Give each file that may be an object with the names that a loader may ask for."""
    for all_names, inode in rootfs.named_files():
        content = inode.content
        names = [name for name in all_names if not name.endswith(TEXTS)]
        if names and content and not (known is not None and known.is_none(names[0], content)):
            yield names, content


def _fetched(rootfs: Rootfs, known: Known | None) -> Iterator[tuple[list[str], Content]]:
    """Give the candidates; the headers of those that are not KNOWN are fetched meanwhile."""

    def unread(item: tuple[list[str], Content]) -> Content | None:
        return item[1] if known is None or item[1] not in known.read else None

    return fetched(_candidates(rootfs, known), unread, _HEADERS)


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
