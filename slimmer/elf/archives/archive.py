"""Slimming a static archive: which ones may be, and the proof that a linker makes the same of both.

GNU strip writes the archive, because more than file ranges is renumbered in one; nothing that it says is believed.
What a linker takes from a member is its sections, their relocations, the symbols that it defines and wants, and its
groups; from the archive, which member defines what. These are compared one by one, whatever numbers they have got.
"""

from __future__ import annotations

from itertools import islice, zip_longest
from operator import attrgetter
from typing import TYPE_CHECKING

from slimmer.content import Content
from slimmer.elf import object as elf_object
from slimmer.elf.archives import ar
from slimmer.elf.archives.linkable import read
from slimmer.elf.archives.symbol_table import UNDEFINED
from slimmer.elf.archives.tables import MAX_HELD
from slimmer.elf.machine import EM_AARCH64, EM_ARM, EM_BPF, EM_MIPS
from slimmer.elf.object import is_elf, parse
from slimmer.elf.removable import removable
from slimmer.elf.shared import require_gain
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimmer.elf.archives.linkable import Linkable
    from slimmer.elf.archives.symbol_table import Symbol
    from slimmer.elf.binutils import Strip
    from slimmer.elf.object import Object

FLAGS = ("--strip-unneeded", "-D")
_TIME_LIMIT = 600.0
_NAMED = 3
"""Violations that a reason names; the proof ends with them."""

_GENERIC_TYPES = frozenset({*range(5), 7, 8, 9, 14, 15, 16, 17, 18, 0x6FFFFFF5})
"""Those of the gABI that a relocatable object has, and SHT_GNU_ATTRIBUTES; processors' own are known, too."""
_STB_LOCAL, _STB_WEAK = 0, 2
_BY_THE_LINKER = b"_GLOBAL_OFFSET_TABLE_"
_HEADER = attrgetter(
    *("ident", "type", "machine", "version", "entry", "phoff", "flags", "ehsize", "phentsize", "phnum", "shentsize")
)
"""All of an ELF header but where the section headers are, and how many."""
_LTO = (".gnu.lto_", ".gnu.debuglto_", ".llvmbc", ".llvm.lto")


class StrippedAlreadyError(ElfError):
    """An archive has nothing to spare: it is no candidate, and nothing is to be said of it."""


def slim_archive(
    content: Content, machine: int | None, strip: Strip, objection: Callable[[], str | None] = lambda: None
) -> Content:
    """Give the archive without what no linker needs, proved; raise ElfError with the reason to keep it as it is.

    OBJECTION gives why the file must not change; it is asked when there is something to take, before the work.
    """
    examine(content, machine)
    if (reason := objection()) is not None:
        raise ElfError(reason)
    slimmed = strip.run(content, FLAGS, _TIME_LIMIT)
    require_gain(content, slimmed)
    if broken := archive_violations(content, slimmed, _NAMED):
        raise ElfError(f"the proof failed: {'; '.join(broken)}")
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
        data = _held(archive.data(member))
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
    for section in [each for each in elf.sections if each.type not in _GENERIC_TYPES or each.name.startswith(_LTO)]:
        if section.name.startswith(_LTO):
            return f"holds code for link-time optimization ({section.name})"
        known = 0x70000000 <= section.type < 0x80000000
        if not known and (section.link or section.name != ".llvm_addrsig"):
            return f"has a section of an unknown type ({section.name}, {section.type:#x})"
    return None


def _has_spare(elf: Object) -> bool:
    """Say whether an object has debug information or local symbols that nothing refers to."""
    gone = removable(elf)
    if any(elf.sections[index].size for index in gone):
        return True
    member = read(elf, gone)
    used = member.used()
    unused = [
        symbol
        for number, symbol in enumerate(member.symbols)
        if number not in used and symbol[0] and symbol[3] >> 4 == _STB_LOCAL
    ]
    # One that is like another that is used is none to spare.
    return bool(unused) and not {member.symbols[number] for number in used}.issuperset(unused)


def archive_violations(before: Content, after: Content, most: int | None = None) -> list[str]:
    """Give every way in which a linker would make something else of AFTER than of BEFORE; none means proved.

    With MOST, no more than so many are looked for. Never raises for what the archives hold: one that cannot be read is
    a violation.
    """
    try:
        return list(islice(_violations(ar.parse(before), ar.parse(after)), most))
    except ElfError as error:
        return [f"it cannot be read back: {error}"]


def _violations(old: ar.Archive, new: ar.Archive) -> Iterator[str]:
    if [member.name for member in old.members] != [member.name for member in new.members]:
        yield "it has other members"
        return
    if old.index != new.index:
        yield "its index names other symbols or members"
    for was, now in zip(old.members, new.members, strict=True):
        pair = _held(old.data(was)), _held(new.data(now))
        if pair[0].differs(pair[1]):
            sides = [read(elf, removable(elf)) for elf in map(parse, pair)]
            for sentence in _differences(*sides):
                yield f"member {was.name}: {sentence}"


def _held(data: Content) -> Content:
    """Give the bytes of a member in memory unless they are many: most of them are read, here and there."""
    return Content.of(data.read_at(0, data.size)) if data.size <= MAX_HELD else data


def _differences(old: Linkable, new: Linkable) -> Iterator[str]:
    """Give how two relocatable objects differ for a linker.

    An undefined symbol that no relocation names still makes a linker take the member that defines it, and GNU strip
    removes it: in glibc's libc.a, pthread_create.o names so what weak references would leave out. Only a weak one does
    not, nor one that the linker itself defines.
    """
    if _HEADER(old.elf.header) != _HEADER(new.elf.header):
        yield "its ELF header changed"
    if old.described() != new.described():
        yield "it has other sections"
        return
    for was, now in zip(old.kept, new.kept, strict=True):
        if old.tables.differ(was, new.tables, now):
            yield f"section {was.name} has other bytes"
    pairs = zip_longest(old.relocations(), new.relocations())
    if any(was is None or now is None or was.differs(now) for was, now in pairs):
        yield "it has other relocations"
    if _defined(old) != _defined(new):
        yield "it defines other symbols"
    wanted, left = _wanted(old), _wanted(new)
    if left - wanted or any(name != _BY_THE_LINKER and info >> 4 != _STB_WEAK for name, info, _ in wanted - left):
        yield "it wants other symbols"
    if _groups(old) != _groups(new):
        yield "it has other section groups"


def _defined(member: Linkable) -> list[Symbol]:
    """Give what the member defines for others, and the local symbols that tell ARM's linkers what is code."""
    marks = b"$" if member.elf.header.machine in {EM_ARM, EM_AARCH64} else None
    return [
        symbol
        for symbol in member.symbols
        if symbol[5] != UNDEFINED and (symbol[3] >> 4 != _STB_LOCAL or symbol[0][:1] == marks)
    ]


def _wanted(member: Linkable) -> set[tuple[bytes, int, int]]:
    return {
        (name, info, other)
        for name, _, _, info, other, place in member.symbols
        if place == UNDEFINED and info >> 4 != _STB_LOCAL
    }


def _groups(member: Linkable) -> list[tuple[int, Symbol, tuple[int, ...]]]:
    return [(flags, member.symbols[signature], stay) for flags, signature, stay in member.groups()]
