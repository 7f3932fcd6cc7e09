"""Slimming a static archive: which ones may be, and the proof that a linker makes the same of both.

GNU strip writes the archive, because more than file ranges is renumbered in one; nothing that it says is believed.
What a linker takes from a member is its sections, their relocations, the symbols that it defines and wants, and its
groups; from the archive, which member defines what. These are compared one by one, whatever numbers they have got.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from slimmer.elf import ar
from slimmer.elf import object as elf_object
from slimmer.elf.machine import EM_AARCH64, EM_ARM, EM_BPF, EM_MIPS
from slimmer.elf.object import Object, Section, is_elf, parse
from slimmer.elf.removable import removable
from slimmer.elf.shared import require_gain
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.content import Content
    from slimmer.elf.binutils import Strip

FLAGS = ("--strip-unneeded", "-D")
_TIME_LIMIT = 600.0

_SHF_INFO_LINK = 0x40
_GENERIC_TYPES = frozenset({*range(5), 7, 8, 9, 14, 15, 16, 17, 18, 0x6FFFFFF5})
"""Those of the gABI that a relocatable object has, and SHT_GNU_ATTRIBUTES; processors' own are known, too."""
_STB_LOCAL, _STB_WEAK, _STT_SECTION = 0, 2, 3
_SHN_LORESERVE, _SHN_XINDEX = 0xFF00, 0xFFFF
_NULL, _SYMTAB, _RELA, _REL = elf_object.SHT_NULL, elf_object.SHT_SYMTAB, elf_object.SHT_RELA, elf_object.SHT_REL
_GROUP, _SYMTAB_SHNDX = 17, elf_object.SHT_SYMTAB_SHNDX
_STRUCTURE = frozenset({_NULL, _SYMTAB, _RELA, _REL, _GROUP, _SYMTAB_SHNDX})
_UNDEFINED, _REMOVED, _SYMBOL_TABLE = -1, -2, -3
_MAX_NAMES = 256 << 20
_BY_THE_LINKER = b"_GLOBAL_OFFSET_TABLE_"
_LTO = (".gnu.lto_", ".gnu.debuglto_", ".llvmbc", ".llvm.lto")


class StrippedAlreadyError(ElfError):
    """An archive has nothing to spare: it is no candidate, and nothing is to be said of it."""


def slim_archive(content: Content, machine: int | None, strip: Strip) -> Content:
    """Give the archive without what no linker needs, proved; raise ElfError with the reason to keep it as it is."""
    examine(content, machine)
    slimmed = strip.run(content, FLAGS, _TIME_LIMIT)
    require_gain(content, slimmed)
    if broken := archive_violations(content, slimmed):
        raise ElfError(f"the proof failed: {'; '.join(broken[:3])}")
    return slimmed


def examine(content: Content, machine: int | None) -> None:
    """Raise ElfError, with the reason, unless this archive may be changed in an image whose programs are for MACHINE.

    With None for MACHINE any will do that is the same for all members. Raises StrippedAlreadyError for one that may be
    and has nothing to spare.
    """
    archive = ar.parse(content)
    if not archive.members:
        raise ElfError("an empty archive")
    if archive.index is None:
        raise ElfError("it has no index of symbols")
    spare = False
    for member in archive.members:
        data = archive.data(member)
        if not is_elf(data):
            raise ElfError(f"member {member.name} is {ar.kind(data)}")
        elf = parse(data)
        machine = elf.header.machine if machine is None else machine
        if reason := _unfit_object(elf, machine):
            raise ElfError(f"member {member.name} {reason}")
        spare = spare or _has_spare(elf)
    if not spare:
        raise StrippedAlreadyError("nothing to remove")


def _unfit_object(elf: Object, machine: int) -> str | None:
    """Give why a member must not be changed, or None.

    strip destroys slim LTO objects with exit status 0, and takes from fat ones with debug information what gcc's linker
    plugin looks up. A section of an unknown type may name symbols by number: .llvm_addrsig does until its sh_link is 0.
    """
    if elf.header.type != elf_object.ET_REL:
        return "is not a relocatable object"
    if elf.header.machine == EM_BPF:
        return "is an eBPF program"
    if elf.header.machine != machine:
        return f"is for another machine (e_machine {elf.header.machine})"
    if machine == EM_MIPS and elf.form.bits == 64:
        return "has relocations of MIPS's 64-bit form"
    for section in elf.sections:
        if section.name.startswith(_LTO):
            return f"holds code for link-time optimization ({section.name})"
        known = section.type in _GENERIC_TYPES or 0x70000000 <= section.type < 0x80000000
        if not known and (section.link or section.name != ".llvm_addrsig"):
            return f"has a section of an unknown type ({section.name}, {section.type:#x})"
    return None


def _has_spare(elf: Object) -> bool:
    """Say whether an object has debug information or local symbols that nothing refers to."""
    if any(elf.sections[index].size for index in removable(elf)):
        return True
    member = _read(elf)
    used = {symbol for *_, entries in member.relocations() for *_, symbol in entries}
    used |= {signature for _, signature, _ in member.groups()}
    return any(each.info >> 4 == _STB_LOCAL and each.name and each not in used for each in member.symbols)


class _Symbol(NamedTuple):  # not a dataclass: archives have millions
    """A symbol, its section by the place among those that stay, or one of the negative places."""

    name: bytes
    value: int
    size: int
    info: int
    other: int
    place: int


@dataclass(frozen=True, slots=True)
class _Linkable:
    """What a linker reads of a relocatable object, free of the numbers that its sections have."""

    elf: Object
    kept: tuple[Section, ...]
    """The sections with content of their own that stay; a section's place is its position here."""
    places: dict[int, int]
    """The place of each section, by its index."""
    symbols: list[_Symbol]

    def described(self, section: Section) -> Section:
        """Give a section header without where it stands, and with places for indices."""
        link = self.places.get(section.link, _REMOVED)
        info = self.places.get(section.info, _REMOVED) if section.flags & _SHF_INFO_LINK else section.info
        return replace(section, index=0, name_offset=0, offset=0, link=link, info=info)

    def bytes_of(self, section: Section) -> Content:
        """Give the bytes of a section."""
        return self.elf.content.slice(section.offset, section.offset + section.file_size)

    def symbol(self, number: int) -> _Symbol:
        """Give a symbol by its number."""
        if number >= len(self.symbols):
            raise ElfError("a symbol is named that the symbol table does not have")
        return self.symbols[number]

    def relocations(self) -> Iterator[tuple[int, int, list[tuple[int, int, int, _Symbol]]]]:
        """Give each table's target and type, and r_offset, type, r_addend and symbol of all its relocations."""
        tables = (each for each in self.elf.sections if each.type in {_REL, _RELA} and each.size)
        found = [(self.places.get(each.info, _REMOVED), each.type, each.index) for each in tables]
        for place, kind, index in sorted(found):
            if place >= 0:
                yield place, kind, list(self._entries(self.elf.sections[index]))

    def _entries(self, section: Section) -> Iterator[tuple[int, int, int, _Symbol]]:
        wide, form = self.elf.form.bits == 64, ("QQ" if self.elf.form.bits == 64 else "II")
        packing = struct.Struct(self.elf.form.order + form + (("q" if wide else "i") if section.type == _RELA else ""))
        for offset, info, *rest in packing.iter_unpack(_records(self.bytes_of(section), packing, section)):
            number, kind = (info >> 32, info & 0xFFFFFFFF) if wide else (info >> 8, info & 0xFF)
            yield offset, kind, rest[0] if rest else 0, self.symbol(number)

    def groups(self) -> Iterator[tuple[int, _Symbol, tuple[int, ...]]]:
        """Give flags, signature and members of each section group; of relocations, that those of a place belong to it.

        Debug information goes from a group, and with it a group that held nothing else.
        """
        for section in self.elf.sections:
            if section.type != _GROUP:
                continue
            word = struct.Struct(self.elf.form.order + "I")
            flags, *indices = (item for (item,) in word.iter_unpack(_records(self.bytes_of(section), word, section)))
            members = [self._member_of_a_group(index) for index in indices]
            if stay := tuple(place for place in members if place != _REMOVED):
                yield flags, self.symbol(section.info), stay

    def _member_of_a_group(self, index: int) -> int:
        if index >= len(self.elf.sections):
            raise ElfError("a group has a member that does not exist")
        section = self.elf.sections[index]
        if section.type in {_REL, _RELA}:
            place = self.places.get(section.info, _REMOVED)
            return _REMOVED if place < 0 or not section.size else place + len(self.kept)
        return self.places.get(index, _REMOVED)


def _records(content: Content, packing: struct.Struct, section: Section) -> bytes:
    """Give the bytes of a table; raise ElfError unless they are whole entries, at least one."""
    if not content.size or content.size % packing.size or section.entsize not in {0, packing.size}:
        raise ElfError(f"the entries of section {section.name} have no size that fits")
    return content.read_at(0, content.size)


def _read(elf: Object) -> _Linkable:
    """Give what a linker reads; raise ElfError where it cannot be told."""
    if sum(section.file_size for section in elf.sections) > elf.content.size:
        raise ElfError("its sections overlap")  # more to read than the file has
    tables = [section for section in elf.sections if section.type == _SYMTAB]
    if len(tables) > 1 or any(table.link >= len(elf.sections) for table in tables):
        raise ElfError("it has two symbol tables, or one without names")
    apart = {elf.shstrndx, *(table.index for table in tables), *(table.link for table in tables), *removable(elf)}
    kept = tuple(each for each in elf.sections if each.type not in _STRUCTURE and each.index not in apart)
    places = {section.index: place for place, section in enumerate(kept)}
    places |= {0: _UNDEFINED, **{table.index: _SYMBOL_TABLE for table in tables}}
    member = _Linkable(elf, kept, places, [])
    for table in tables:
        member.symbols.extend(_symbols(member, table))
    return member


def _symbols(member: _Linkable, table: Section) -> Iterator[_Symbol]:
    elf = member.elf
    wide = elf.form.bits == 64
    packing = struct.Struct(elf.form.order + ("IBBHQQ" if wide else "IIIBBH"))
    names_of = elf.sections[table.link]
    names = member.bytes_of(names_of).read_at(0, names_of.file_size)
    tables = [each for each in elf.sections if each.type == _SYMTAB_SHNDX and each.link == table.index]
    extended = member.bytes_of(tables[0]).read_at(0, tables[0].size) if tables else b""
    total = 0
    for number, fields in enumerate(packing.iter_unpack(_records(member.bytes_of(table), packing, table))):
        name, info, other, shndx, value, size = fields if wide else (fields[0], *fields[3:], *fields[1:3])
        end = names.find(b"\0", name)
        total += end - name
        word = extended[4 * number : 4 * number + 4]
        if end < 0 or total > _MAX_NAMES or (shndx == _SHN_XINDEX and len(word) < 4):
            raise ElfError(f"symbol {number} has no name or no section index where it should stand, or names are huge")
        place = -shndx
        if shndx == _SHN_XINDEX:
            place = member.places.get(int.from_bytes(word, "little" if elf.form.little else "big"), _REMOVED)
        elif shndx < _SHN_LORESERVE:
            place = member.places.get(shndx, _REMOVED)
        # A section symbol's name is its section's, whether the table says it or not.
        yield _Symbol(b"" if info & 0xF == _STT_SECTION else names[name:end], value, size, info, other, place)


def archive_violations(before: Content, after: Content) -> list[str]:
    """Give every way in which a linker would make something else of AFTER than of BEFORE; none means proved.

    Never raises for what the archives hold: one that cannot be read is a violation.
    """
    try:
        old, new = ar.parse(before), ar.parse(after)
        if [member.name for member in old.members] != [member.name for member in new.members]:
            return ["it has other members"]
        found = ["its index names other symbols or members"] if old.index != new.index else []
        for was, now in zip(old.members, new.members, strict=True):
            pair = _read(parse(old.data(was))), _read(parse(new.data(now)))
            found += [f"member {was.name}: {sentence}" for sentence in _differences(*pair)]
    except ElfError as error:
        return [f"it cannot be read back: {error}"]
    return found


def _differences(old: _Linkable, new: _Linkable) -> Iterator[str]:
    """Give how two relocatable objects differ for a linker.

    An undefined symbol that no relocation names still makes a linker take the member that defines it, and GNU strip
    removes it: in glibc's libc.a, pthread_create.o names so what weak references would leave out. Only a weak one does
    not, nor one that the linker itself defines.
    """
    headers = [replace(each.elf.header, shoff=0, shnum=0, shstrndx=0) for each in (old, new)]
    if headers[0] != headers[1]:
        yield "its ELF header changed"
    if [old.described(section) for section in old.kept] != [new.described(section) for section in new.kept]:
        yield "it has other sections"
        return
    for was, now in zip(old.kept, new.kept, strict=True):
        if old.bytes_of(was).differs(new.bytes_of(now)):
            yield f"section {was.name} has other bytes"
    if any(was != now for was, now in zip_longest(old.relocations(), new.relocations())):
        yield "it has other relocations"
    if _defined(old) != _defined(new):
        yield "it defines other symbols"
    wanted, left = _wanted(old), _wanted(new)
    if left - wanted or any(name != _BY_THE_LINKER and info >> 4 != _STB_WEAK for name, info, _ in wanted - left):
        yield "it wants other symbols"
    if list(old.groups()) != list(new.groups()):
        yield "it has other section groups"


def _defined(member: _Linkable) -> list[_Symbol]:
    """Give what the member defines for others, and the local symbols that tell ARM's linkers what is code."""
    marks = b"$" if member.elf.header.machine in {EM_ARM, EM_AARCH64} else None
    defined = (each for each in member.symbols if each.place != _UNDEFINED)
    return [each for each in defined if each.info >> 4 != _STB_LOCAL or each.name[:1] == marks]


def _wanted(member: _Linkable) -> set[tuple[bytes, int, int]]:
    wanted = (each for each in member.symbols if each.place == _UNDEFINED and each.info >> 4 != _STB_LOCAL)
    return {(each.name, each.info, each.other) for each in wanted}
