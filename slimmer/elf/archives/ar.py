"""What an ar archive holds: GNU's flavour, every bound checked, every other flavour recognised and named.

There is no standard for ar. GNU's flavour is that of System V: a first member `/` (or `/SYM64/`) is the index of
symbols, a member `//` holds the names longer than 15 bytes (binutils, include/aout/ar.h and bfd/archive.c). Whatever is
not well formed raises ElfError with one sentence; nothing is read outside the file.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.content import Content

MAGIC = b"!<arch>\n"
_THIN_MAGIC = b"!<thin>\n"
_HEADER = struct.Struct("16s12s6s6s8s10s2s")
_END_OF_HEADER = b"`\n"
_INDEXES = {b"/": ">I", b"/SYM64/": ">Q"}
_NAMES = b"//"
_BSD_INDEX = b"__.SYMDEF"
_BSD_LONG_NAME = b"#1/"
_LONG_NAME = re.compile(rb"/[0-9]+")
_BITCODE = {b"BC\xc0\xde", b"\xde\xc0\x17\x0b"}
_GO = b"go object "
_MAX_NAME = 4096
_MAX_TABLE = 256 << 20
_TEXT = re.compile(rb"[\t\n\r -~]+")


class Member(NamedTuple):
    """A member of an archive: `size` bytes from `offset`; its header stands at `header_offset`."""

    name: str
    header_offset: int
    offset: int
    size: int
    date: int
    uid: int
    gid: int
    mode: int


@dataclass(frozen=True, slots=True)
class Archive:
    """The members of an archive in their order, and its index: the symbols, each with the member that defines it.

    The index's own member and that of the long names are not among the members.
    """

    content: Content
    members: tuple[Member, ...]
    index: tuple[tuple[bytes, int], ...] | None
    """Symbols and positions in `members`, in the order of the file; None when the archive has no index."""

    def data(self, member: Member) -> Content:
        """Give the bytes of a member."""
        return self.content.slice(member.offset, member.offset + member.size)


def is_archive(content: Content) -> bool:
    """Say whether CONTENT begins as an archive does, a thin one too."""
    return content.read_at(0, len(MAGIC)) in {MAGIC, _THIN_MAGIC}


def kind(data: Content) -> str:
    """Give what a member is that is no ELF object."""
    start = data.read_at(0, 16)
    if start[:4] in _BITCODE:
        return "LLVM bitcode"
    if is_archive(data):
        return "an archive itself"
    return "a Go object" if start.startswith(_GO) else "not an ELF object"


def parse(content: Content) -> Archive:
    """Give what CONTENT holds; raise ElfError when it is no archive of GNU's flavour or does not hold together."""
    _check_magic(content)
    members: list[Member] = []
    index: list[tuple[bytes, int]] | None = None
    long_names: bytes | None = None
    position = len(MAGIC)
    while position < content.size:
        raw, member = _header(content, position)
        if raw in _INDEXES:
            if index is not None or long_names is not None or members:
                raise ElfError("a second index, as Windows' archives have it, or one that does not stand first")
            index = _index(_table(content, member, "index"), _INDEXES[raw])
        elif raw == _NAMES:
            if long_names is not None or members:
                raise ElfError("the table of long names does not stand before the members")
            long_names = _table(content, member, "table of long names")
        else:
            members.append(_named(member, raw, long_names))
        position = member.offset + member.size
        position += position % 2
    return Archive(content, tuple(members), None if index is None else _resolved(index, members))


def _check_magic(content: Content) -> None:
    start = content.read_at(0, 64)
    if start.startswith(MAGIC):
        return
    if start.startswith(_THIN_MAGIC):
        raise ElfError("a thin archive: its members are files elsewhere")
    if not start:
        raise ElfError("an empty file, not an archive")
    if _TEXT.fullmatch(start):
        raise ElfError("a text, perhaps a linker script, not an archive")
    raise ElfError("not an ar archive")


def _header(content: Content, position: int) -> tuple[bytes, Member]:
    """Give a member without its name, and the name field as it stands there."""
    data = content.read_at(position, _HEADER.size)
    if len(data) < _HEADER.size:
        raise ElfError("the archive is truncated: it ends within a member's header")
    name, date, uid, gid, mode, size, end = _HEADER.unpack(data)
    if end != _END_OF_HEADER:
        raise ElfError(f"no member's header where one should stand, at {position:#x}")
    raw = name.rstrip(b" ")
    if raw.startswith((_BSD_LONG_NAME, _BSD_INDEX)):
        raise ElfError("an archive of BSD's flavour")
    member = Member(
        "",
        position,
        position + _HEADER.size,
        _number(size, 10, "size") if size.strip(b" ") else -1,
        _number(date, 10, "date"),
        _number(uid, 10, "owner"),
        _number(gid, 10, "group"),
        _number(mode, 8, "mode"),
    )
    if member.size < 0:
        raise ElfError("the size of a member is not a number")
    if member.offset + member.size > content.size:
        raise ElfError("the archive is truncated: it ends within a member")
    return raw, member


def _number(field: bytes, base: int, what: str) -> int:
    """Give what a field of a header says; all but the size may be blank, and is for the table of long names."""
    digits = field.strip(b" ")
    if not digits:
        return 0
    try:
        # int() takes signs and underscores, which ar does not write.
        return int(digits, base) if digits.isdigit() else int("")
    except ValueError:
        raise ElfError(f"the {what} of a member is not a number") from None


def _table(content: Content, member: Member, what: str) -> bytes:
    if member.size > _MAX_TABLE:
        raise ElfError(f"the {what} has {member.size} bytes")
    return content.read_at(member.offset, member.size)


def _index(data: bytes, word: str) -> list[tuple[bytes, int]]:
    """Give the symbols of an index, each with the place of its member's header."""
    size = struct.calcsize(word)
    count = int.from_bytes(data[:size], "big")
    start = size * (1 + count)
    if len(data) < max(start, size):
        raise ElfError("the index has fewer entries than it says")
    symbols = data[start:].split(b"\0", count)
    if len(symbols) <= count:
        raise ElfError("the index has fewer names than entries")
    places = [place for (place,) in struct.iter_unpack(word, data[size:start])]
    return list(zip(symbols[:count], places, strict=True))


def _resolved(index: list[tuple[bytes, int]], members: list[Member]) -> tuple[tuple[bytes, int], ...]:
    positions = {member.header_offset: position for position, member in enumerate(members)}
    try:
        return tuple((symbol, positions[place]) for symbol, place in index)
    except KeyError as error:
        raise ElfError(f"the index names a member at {error.args[0]:#x}, where none stands") from None


def _named(member: Member, raw: bytes, long_names: bytes | None) -> Member:
    if _LONG_NAME.fullmatch(raw):
        name = _long_name(int(raw[1:]), long_names)
    elif raw.endswith(b"/") and len(raw) > 1 and not raw.startswith(b"/"):
        name = raw[:-1]
    else:
        shown = raw.decode("ascii", "backslashreplace")
        raise ElfError(f"a member's name is not written in GNU's flavour: {shown}")
    if b"/" in name or name in {b".", b".."}:
        # A path, which ar writes for no member but of a thin archive, and where strip might write.
        raise ElfError(f"a member's name is a path: {name.decode('utf-8', 'backslashreplace')}")
    return member._replace(name=name.decode("utf-8", "backslashreplace"))


def _long_name(start: int, long_names: bytes | None) -> bytes:
    if long_names is None or start >= len(long_names):
        raise ElfError("a member's name lies outside the table of long names")
    end = long_names.find(b"/\n", start, start + _MAX_NAME)
    if end <= start:
        raise ElfError("a member's name in the table of long names is empty or has no end")
    return long_names[start:end]
