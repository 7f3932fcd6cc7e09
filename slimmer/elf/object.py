"""What an ELF object's headers say: both classes, both byte orders, every bound checked.

The format is that of the System V gABI, chapters 4 and 5. A file in an image may be damaged or hostile. Whatever is
not well formed raises ElfError with one sentence; nothing
is read outside the file, and no table longer than a format limit is held.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.content import Content

MAGIC = b"\x7fELF"
ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
PT_LOAD, PT_DYNAMIC = 1, 2
SHT_NULL, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOBITS, SHT_REL, SHT_GROUP, SHT_SYMTAB_SHNDX = 0, 2, 3, 4, 8, 9, 17, 18
SHF_ALLOC, SHF_INFO_LINK = 0x2, 0x40
PAGE, LARGEST_PAGE = 0x1000, 0x10000
"""The smallest pages that a machine maps, and the largest (aarch64, ppc64le)."""
_SH_TYPE, _SH_OFFSET, _SH_SIZE, _SH_LINK = 1, 4, 5, 6
"""Which of a section header's fields, in either class."""
_WITHOUT_BYTES = frozenset({SHT_NULL, SHT_NOBITS})
_EI_NIDENT, _LONGEST_HEADER = 16, 64
_PN_XNUM = 0xFFFF
_SHN_XINDEX = 0xFFFF
_MAX_SECTIONS = 1 << 17
_MAX_NAMES = 64 << 20


@dataclass(frozen=True, slots=True)
class Format:
    """The class and byte order of an object, and how its headers are packed."""

    bits: int
    little: bool

    @property
    def order(self) -> str:
        """The byte order as `struct` writes it."""
        return "<" if self.little else ">"

    @property
    def header(self) -> struct.Struct:
        """e_type … e_shstrndx, after e_ident."""
        return _packing(self.order + ("HHIQQQIHHHHHH" if self.bits == 64 else "HHIIIIIHHHHHH"))

    @property
    def segment(self) -> struct.Struct:
        """One program header."""
        return _packing(self.order + ("IIQQQQQQ" if self.bits == 64 else "IIIIIIII"))

    @property
    def section(self) -> struct.Struct:
        """One section header."""
        return _packing(self.order + ("IIQQQQIIQQ" if self.bits == 64 else "IIIIIIIIII"))


@cache
def _packing(form: str) -> struct.Struct:
    """Give a packing; it is made once, not again for each of an archive's thousands of objects."""
    return struct.Struct(form)


@dataclass(frozen=True, slots=True)
class Header:
    """The ELF header."""

    ident: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    def pack(self, form: Format) -> bytes:
        """Give the header's bytes."""
        return self.ident + form.header.pack(
            self.type, self.machine, self.version, self.entry, self.phoff, self.shoff, self.flags,
            self.ehsize, self.phentsize, self.phnum, self.shentsize, self.shnum, self.shstrndx,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segment:
    """A program header: file bytes from `offset` are what lies at `vaddr`."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    def pack(self, form: Format) -> bytes:
        """Give the program header's bytes."""
        if form.bits == 64:
            return form.segment.pack(
                self.type, self.flags, self.offset, self.vaddr, self.paddr, self.filesz, self.memsz, self.align
            )
        return form.segment.pack(
            self.type, self.offset, self.vaddr, self.paddr, self.filesz, self.memsz, self.flags, self.align
        )


class Section(NamedTuple):
    """A section header. `name` is empty where the object has no table of names.

    A tuple, since an image has hundreds of thousands: a frozen dataclass takes four times as long to make.
    """

    index: int  # type: ignore[assignment] # nobody looks a value up in a header
    name: str
    name_offset: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int

    @property
    def is_allocated(self) -> bool:
        """Whether the section is part of the loaded object."""
        return bool(self.flags & SHF_ALLOC)

    @property
    def file_size(self) -> int:
        """Bytes that the section takes in the file."""
        return 0 if self.type in _WITHOUT_BYTES else self.size

    @property
    def info_is_index(self) -> bool:
        """Whether sh_info names a section; elsewhere it is a count or a symbol."""
        return self.type in {SHT_REL, SHT_RELA} or bool(self.flags & SHF_INFO_LINK)

    def pack(self, form: Format) -> bytes:
        """Give the section header's bytes."""
        return form.section.pack(
            self.name_offset, self.type, self.flags, self.addr, self.offset, self.size,
            self.link, self.info, self.addralign, self.entsize,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Object:
    """The headers of an ELF object, and where its bytes lie."""

    content: Content
    form: Format
    header: Header
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    shstrndx: int

    @property
    def end(self) -> int:
        """Where the file ends for all that its headers know; what lies behind belongs to somebody else."""
        header = self.header
        return max(
            header.ehsize,
            header.phoff + header.phnum * header.phentsize,
            header.shoff + len(self.sections) * header.shentsize,
            *(segment.offset + segment.filesz for segment in self.segments),
            *(section.offset + section.file_size for section in self.sections),
        )

    def section_named(self, name: str) -> Section | None:
        """Give the first section of this name."""
        return next((section for section in self.sections if section.name == name), None)


def aligned(position: int, align: int) -> int:
    """Give the first multiple of ALIGN at or after POSITION."""
    return -(-position // align) * align


def largest_page(elf: Object) -> int:
    """Give the size of the largest pages that ELF can be mapped in: 64 KiB are the largest that any machine has.

    A loader refuses an object with a PT_LOAD that is aligned to less than its pages.
    """
    align = min((segment.align for segment in elf.segments if segment.type == PT_LOAD), default=0)
    return min(align, LARGEST_PAGE) if align >= PAGE else LARGEST_PAGE


def is_elf(content: Content) -> bool:
    """Say whether CONTENT begins as an ELF object does."""
    return content.read_at(0, len(MAGIC)) == MAGIC


def parse(content: Content) -> Object:
    """Give what the headers of CONTENT say; raise ElfError when they do not hold together."""
    head = content.read_at(0, _LONGEST_HEADER)
    ident = head[:_EI_NIDENT]
    if len(ident) < _EI_NIDENT or ident[:4] != MAGIC:
        raise ElfError("not an ELF object")
    if ident[4] not in {1, 2} or ident[5] not in {1, 2} or ident[6] != 1:
        raise ElfError(f"unknown ELF class, byte order or version {ident[4:7].hex()}")
    form = Format(bits=64 if ident[4] == 2 else 32, little=ident[5] == 1)
    if len(head) < _EI_NIDENT + form.header.size:
        raise ElfError("the ELF header lies outside the file")
    header = Header(ident, *form.header.unpack_from(head, _EI_NIDENT))
    table = _section_table(content, form, header)
    shstrndx = header.shstrndx
    if shstrndx == _SHN_XINDEX and table:
        shstrndx = table[0][_SH_LINK]
    sections = _sections(content, table, shstrndx)
    return Object(content, form, header, _segments(content, form, header), sections, shstrndx)


def _exactly(content: Content, offset: int, length: int, what: str) -> bytes:
    if offset < 0 or length < 0 or offset + length > content.size:
        raise ElfError(f"the {what} lies outside the file")
    return content.read_at(offset, length)


def _segments(content: Content, form: Format, header: Header) -> tuple[Segment, ...]:
    if header.phnum == 0:
        return ()
    if header.phnum == _PN_XNUM:
        raise ElfError("more program headers than e_phnum can say")
    if header.phentsize != form.segment.size:
        raise ElfError(f"program headers of {header.phentsize} bytes")
    table = _exactly(content, header.phoff, header.phnum * form.segment.size, "program header table")
    segments: list[Segment] = []
    for fields in form.segment.iter_unpack(table):
        if form.bits == 64:
            segment = Segment(*fields)
        else:
            kind, offset, vaddr, paddr, filesz, memsz, flags, align = fields
            segment = Segment(kind, flags, offset, vaddr, paddr, filesz, memsz, align)
        if segment.filesz and segment.offset + segment.filesz > content.size:
            raise ElfError(f"segment {len(segments)} lies outside the file")
        segments.append(segment)
    return tuple(segments)


def _section_table(content: Content, form: Format, header: Header) -> list[tuple[int, ...]]:
    if header.shoff == 0:
        return []
    if header.shentsize != form.section.size:
        raise ElfError(f"section headers of {header.shentsize} bytes")
    count = header.shnum
    if count == 0:
        # More than SHN_LORESERVE sections: the first header's sh_size says how many (gABI, "ELF Header", e_shnum).
        first = form.section.unpack(_exactly(content, header.shoff, form.section.size, "section header table"))
        count = first[_SH_SIZE]
    if count > _MAX_SECTIONS:
        raise ElfError(f"{count} sections")
    table = _exactly(content, header.shoff, count * form.section.size, "section header table")
    return list(form.section.iter_unpack(table))


def _sections(content: Content, table: list[tuple[int, ...]], shstrndx: int) -> tuple[Section, ...]:
    names = b""
    if table and shstrndx:
        if shstrndx >= len(table) or table[shstrndx][_SH_TYPE] != SHT_STRTAB or table[shstrndx][_SH_SIZE] > _MAX_NAMES:
            raise ElfError("the table of section names is not one")
        names = content.read_at(table[shstrndx][_SH_OFFSET], table[shstrndx][_SH_SIZE])
    # Written for speed: a static library has a hundred thousand sections, and is read three times.
    text = names.decode("ascii") if names.isascii() else None
    sections: list[Section] = []
    whole, length, total = content.size, len(names), 0
    for index, fields in enumerate(table):
        start, kind, _, _, offset, size, _, _, _, _ = fields
        name = ""
        if shstrndx:
            end = names.find(b"\0", start)
            total += end - start  # names may share their tails, but not without end
            if start > length or end < 0 or total > _MAX_NAMES:
                raise ElfError(f"the name of section {index} lies outside the table of names")
            name = names[start:end].decode("utf-8", "backslashreplace") if text is None else text[start:end]
        if offset + size > whole and (offset > whole or kind not in _WITHOUT_BYTES):
            raise ElfError(f"section {index} lies outside the file")
        sections.append(Section._make((index, name, *fields)))
    return tuple(sections)
