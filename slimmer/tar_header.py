"""Single tar headers as bytes: the ustar block and the extended header of POSIX.1-2001 (pax).

The standard library's tarfile reads what is out of the ordinary. An image has a hundred thousand headers that are not,
and reading and writing those here takes a fifth of the time. What is written depends on no version of Python.
"""

from __future__ import annotations

import struct
import tarfile
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from zlib import adler32

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HEADER = 1 << 20
"""Bytes of an extended header, as Go's archive/tar has it, which engines read layers with."""
BLOCK = 512
END_OF_ARCHIVE = 2 * BLOCK
_READ = struct.Struct("100s24s12s12s8ss100s8s80x155s12x")  # mode and owners are one field, for they go together
_MAGIC = b"ustar\x0000"
_ORDINARY = b"0125"  # files, hard links, symlinks, directories
_WITH_CONTENT = (tarfile.REGTYPE, tarfile.XHDTYPE)
_EXTENDED = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
_SHORT, _LONG = 8**7, 8**11
"""One more than what a numeric field of 8 and of 12 bytes can say."""
_MAX_NAME = 100
_NAMES = (b"path", b"linkpath")
_MAX_DIGITS = 7
"""Of the length of a record: an extended header has no more."""


class Member(tarfile.TarInfo):
    """A member as tarfile reads it, but that no header may be as long as the archive, or lead backwards.

    tarfile reads extended headers whole, calls itself for each that follows another, and raises what comes to hand
    where their text is no number. Whatever it is becomes a tarfile.ReadError here.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        # tarfile's own comment above this method says that it is there to be overridden.
        if self.size < 0 or (self.type in _EXTENDED and self.size > MAX_HEADER):
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        try:
            member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc] # its stubs leave it out
        except (ValueError, IndexError, OverflowError, struct.error) as error:
            raise tarfile.ReadError(f"a header that says {error}") from None
        except RecursionError:
            raise tarfile.ReadError("an extended header of an extended header, and so on") from None
        if member.size < 0:
            raise tarfile.ReadError(f"a member of {member.size} bytes")
        return member


class WholeMember(Member):
    """A member of an archive whose members nobody stores with holes, as images' archives are."""

    def _refuse(self, *_: object) -> None:
        raise tarfile.ReadError("a member is stored with holes; pack the archive again without --sparse")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse


class Header(NamedTuple):
    """What an ordinary header says, its mode and names as they stand there."""

    type: bytes
    name: str
    linkname: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int


def decode(block: bytes, types: bytes = _ORDINARY) -> Header | None:
    """Give what a header of one of TYPES says; None where more than the block is needed, or anything is unusual."""
    if len(block) != BLOCK:
        return None
    name, access, size, mtime, checksum, kind, link, magic, prefix = _READ.unpack(block)
    if magic != _MAGIC or kind not in types:
        return None
    try:
        mode, uid, gid = _access(access)
        length, seconds, said = _octal(size), _often(mtime), _octal(checksum)
    except ValueError:
        return None
    # The sum has spaces in the place of the sum itself.
    if said != _sum(block) - sum(checksum) + 8 * 32 or (length and kind not in _WITH_CONTENT):
        return None
    text = _text(prefix) + "/" + _text(name) if prefix[0] else _text(name)
    return Header(kind, text, _text(link), mode, uid, gid, length, seconds)


def names(data: bytes) -> dict[str, str] | None:
    """Give the records of an extended header that holds nothing but `path` and `linkpath`; None where it does."""
    found = {}
    while data:
        digits = data.partition(b" ")[0]
        if not digits.isdigit() or len(digits) > _MAX_DIGITS or data[(length := int(digits)) - 1 : length] != b"\n":
            return None
        key, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
        if key not in _NAMES or not value or b"\0" in value:
            return None
        try:
            found[key.decode()] = value.decode("utf-8")
        except UnicodeDecodeError:
            return None
        data = data[length:]
    return found


def _sum(block: bytes) -> int:
    """Give the sum of all bytes of a header."""
    # The lower half of an Adler-32 is one more than that, modulo 65521, which 512 bytes of ASCII cannot reach; it takes
    # a tenth of the time.
    return (adler32(block) & 0xFFFF) - 1 if block.isascii() else sum(block)


def _octal(field: bytes) -> int:
    digits = field.rstrip(b"\0 ")
    if not digits.isdigit():  # empty, signed, in base 256
        raise ValueError
    return int(digits, 8)


_often = lru_cache(maxsize=256)(_octal)


@lru_cache(maxsize=256)
def _access(field: bytes) -> tuple[int, int, int]:
    """Give mode, user and group: an image has a hundred thousand headers with a few dozen of them."""
    return _octal(field[:8]), _octal(field[8:16]), _octal(field[16:])


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def encode(
    kind: bytes, name: bytes, link: bytes, mode: int, owner: tuple[int, int], size: int, mtime: int,
    device: tuple[int, int] | None, records: Mapping[str, bytes],
) -> bytes:  # fmt: skip
    """Give the header of an entry, behind an extended header where there are RECORDS or a field is too small.

    SIZE is bytes, MTIME whole seconds, DEVICE major and minor number or None. RECORDS come first and win.
    """
    name = _written_name(kind, name)
    extended = dict(records)
    for key, raw in (("path", name), ("linkpath", link)):
        if len(raw) > _MAX_NAME or not raw.isascii():
            extended.setdefault(key, raw)
    fields = []
    for key, number, limit in (
        ("uid", owner[0], _SHORT), ("gid", owner[1], _SHORT), ("size", size, _LONG), ("mtime", mtime, _LONG),
    ):  # fmt: skip
        if not 0 <= number < limit:
            extended.setdefault(key, b"%d" % number)
        fields.append(number if 0 <= number < limit else 0)
    uid, gid, size, mtime = fields
    block = _block(kind, name, link, mode, (uid, gid), size, mtime, device)
    return (_extended(extended) if extended else b"") + block


def is_one_block(name: str, link: str, owner: tuple[int, int], size: int, mtime: int) -> bool:
    """Say whether `encode` gives the block alone, without records of one's own; False also where it is a near thing."""
    return (
        len(name) < _MAX_NAME  # a directory gets a slash
        and len(link) < _MAX_NAME
        and name.isascii()
        and link.isascii()
        and 0 <= owner[0] < _SHORT
        and 0 <= owner[1] < _SHORT
        and 0 <= size < _LONG
        and 0 <= mtime < _LONG
    )


def one_block(kind: bytes, name: str, link: str, mode: int, owner: tuple[int, int], size: int, mtime: int) -> bytes:
    """Give what `encode` gives of an entry that is no device and of which `is_one_block` is so."""
    return _block(kind, _written_name(kind, name.encode("ascii")), link.encode("ascii"), mode, owner, size, mtime, None)


def _written_name(kind: bytes, name: bytes) -> bytes:
    return name + b"/" if kind == tarfile.DIRTYPE and not name.endswith(b"/") else name


def _block(
    kind: bytes, name: bytes, link: bytes, mode: int, owner: tuple[int, int], size: int, mtime: int,
    device: tuple[int, int] | None,
) -> bytes:  # fmt: skip
    before = b"%b%b%011o\0%011o\0" % (_field(name), _access_written(mode, owner), size, mtime)
    after = b"%b%b%b" % (kind, _field(link), _NO_DEVICE if device is None else _end(device))
    # The sum has spaces in its own place.
    return b"%b%06o\0 %b" % (before, _sum(before) + 8 * 32 + _sum(after), after)


def _field(raw: bytes) -> bytes:
    """Give the field for a name, as a reader sees that who knows no extended headers."""
    known = raw if raw.isascii() else raw.decode("utf-8", "surrogateescape").encode("ascii", "replace")
    return known[:_MAX_NAME].ljust(_MAX_NAME, b"\0")


@lru_cache(maxsize=256)
def _access_written(mode: int, owner: tuple[int, int]) -> bytes:
    return b"%07o\0%07o\0%07o\0" % (mode, *owner)


def _end(device: tuple[int, int] | None) -> bytes:
    """Give all that stands behind the name of a link: no names of owners, and no beginning of a long name."""
    numbers = b"%07o\0%07o\0" % device if device is not None else bytes(16)
    return _MAGIC + bytes(64) + numbers + bytes(167)


_NO_DEVICE = _end(None)


def _extended(records: Mapping[str, bytes]) -> bytes:
    is_text = True
    for value in records.values():
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            is_text = False
    lines = [] if is_text else [b"21 hdrcharset=BINARY\n"]
    for key, value in records.items():
        line = b" %s=%s\n" % (key.encode(), value)
        length = len(line)
        while length != len(line) + len(str(length)):
            length = len(line) + len(str(length))
        lines.append(b"%d%s" % (length, line))
    data = b"".join(lines)
    return _block(b"x", b"././@PaxHeader", b"", 0, (0, 0), len(data), 0, None) + data + padding(len(data))


def padding(size: int) -> bytes:
    """Give the zeros that fill SIZE bytes up to a whole block."""
    return bytes(-size % BLOCK)
