from __future__ import annotations

import struct
import subprocess

import pytest

from slimmer.content import Content
from slimmer.elf.archives import linkable, symbol_table, tables
from slimmer.elf.archives.linkable import Linkable, read
from slimmer.elf.archives.symbol_table import read_symbols
from slimmer.elf.object import SHT_GROUP, SHT_NULL, SHT_RELA, SHT_SYMTAB, Format, Header, Object, Section, parse
from slimmer.elf.removable import removable
from slimmer.errors import ElfError

SOURCE = """
template <class T> struct Box { T value; T get() const { return value + 1; } };
extern int away;
static int hidden(int x) { return x * 3; }
int (*kept)(int) = hidden;
__attribute__((weak)) int weak() { return away; }
int all() { static int count; Box<int> a{1}; Box<long> b{2}; return a.get() + (int)b.get() + count++ + weak(); }
"""


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Object:
    """Give an object of this machine with groups, weak, local, undefined and section symbols."""
    directory = tmp_path_factory.mktemp("linkable")
    (directory / "box.cc").write_text(SOURCE)
    subprocess.run(["g++", "-c", "-g", "-O0", "-o", directory / "box.o", directory / "box.cc"], check=True)
    return parse(Content.of((directory / "box.o").read_bytes()))


def _table(elf: Object, section: Section, form: Format) -> tuple[bytes, int]:
    """Give the bytes of a section in another form, and the size of its entries."""
    data = elf.content.read_at(section.offset, section.file_size)
    if section.type == SHT_GROUP:
        words = struct.unpack(f"{elf.form.order}{len(data) // 4}I", data)
        return struct.pack(f"{form.order}{len(words)}I", *words), 4
    wide = form.bits == 64
    if section.type == SHT_SYMTAB:
        packing = struct.Struct(form.order + ("IBBHQQ" if wide else "IIIBBH"))
        rows = struct.iter_unpack(elf.form.order + "IBBHQQ", data)
        packed = [packing.pack(*(row if wide else (row[0], row[4], row[5], *row[1:4]))) for row in rows]
        return b"".join(packed), packing.size
    if section.type == SHT_RELA:
        packing = struct.Struct(form.order + ("QQq" if wide else "IIi"))
        relas = struct.iter_unpack(elf.form.order + "QQq", data)
        packed = [
            packing.pack(place, info if wide else (info >> 32 << 8 | info & 0xFF), addend)
            for place, info, addend in relas
        ]
        return b"".join(packed), packing.size
    return data, section.entsize


def recoded(elf: Object, form: Format) -> Object:
    """Give the same object in another class or byte order."""
    wide = form.bits == 64
    ident = elf.header.ident[:4] + bytes([2 if wide else 1, 1 if form.little else 2]) + elf.header.ident[6:]
    start = 16 + form.header.size
    body, headers = b"", b""
    for section in elf.sections:
        data, entsize = _table(elf, section, form)
        body += bytes(-len(body) % 8)
        offset = start + len(body) if section.type != SHT_NULL else 0
        size = len(data) if section.file_size else section.size
        headers += Section(
            section.index, section.name, section.name_offset, section.type, section.flags, section.addr, offset, size,
            section.link, section.info, section.addralign, entsize,
        ).pack(form)  # fmt: skip
        body += data
    header = Header(
        ident, elf.header.type, elf.header.machine, 1, 0, 0, start + len(body), elf.header.flags,
        start, 0, 0, form.section.size, len(elf.sections), elf.header.shstrndx,
    )  # fmt: skip
    return parse(Content.of(header.pack(form) + body + headers))


def facts(member: Linkable) -> list[object]:
    """Give all that a linker reads of a member, whatever its form."""
    width = 32 if member.elf.form.bits == 64 else 8
    relocations = [
        (
            each.tables,
            list(each.offsets),
            [addend & 0xFFFFFFFF for addend in each.addends],
            [(info & 0xFF, member.symbols[info >> width]) for info in each.types_and_symbols],
            sorted(each.used()),
        )
        for each in member.relocations()
    ]
    bytes_of_sections = [member.tables.bytes_of(section) for section in member.kept]
    return [member.symbols, member.described(), list(member.groups()), relocations, bytes_of_sections]


FORMS = [Format(bits, little) for bits in (64, 32) for little in (True, False)]
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.bits} bits {form.order}")


@each_form
def test_every_class_and_byte_order_is_read_alike(native: Object, form: Format) -> None:
    """The numbers of a table are the same, whatever the size and the order of their bytes."""
    assert native.form == FORMS[0]
    wanted = read(native, removable(native))
    elf = recoded(native, form)
    member = read(elf, removable(elf))

    assert facts(member) == facts(wanted)
    assert {symbol[0] for symbol in member.symbols} > {b"", b"away", b"_ZL6hiddeni", b"_Z4weakv", b"_ZNK3BoxIiE3getEv"}
    assert len(list(member.groups())) == 2
    assert not any(
        mine.differs(its)
        for mine, its in zip(member.relocations(), read(elf, removable(elf)).relocations(), strict=True)
    )


@each_form
def test_symbols_all_at_once_are_those_one_by_one(native: Object, form: Format) -> None:
    """The quick way, where nothing can be wrong with a symbol, gives what the careful one gives."""
    elf = recoded(native, form)
    member = read(elf, removable(elf))
    table = next(section for section in elf.sections if section.type == SHT_SYMTAB)

    assert list(symbol_table._one_by_one(elf, member.tables, table, member.places)) == member.symbols


@each_form
def test_an_object_that_is_not_held_is_read_alike(
    native: Object, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read in runs, and relocations of few sections at a time, are the same."""
    elf = recoded(native, form)
    held = read(elf, removable(elf))
    wanted = facts(held)
    (together,) = held.relocations()
    monkeypatch.setattr(tables, "MAX_HELD", 0)
    monkeypatch.setattr(tables, "_RUN", 80)

    member = read(elf, removable(elf))

    assert facts(member) == wanted
    assert not any(member.tables.differ(section, held.tables, section) for section in member.kept)
    monkeypatch.setattr(linkable, "_AT_ONCE", 1)
    apart = list(member.relocations())
    assert len(apart) == len(together.tables) > 1
    assert [info for each in apart for info in each.types_and_symbols] == list(together.types_and_symbols)
    assert set().union(*(each.used() for each in apart)) == together.used()


def test_names_are_counted_only_where_they_may_be_too_long(native: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is the same whether names are counted or not."""
    member = read(native, removable(native))
    table = next(section for section in native.sections if section.type == SHT_SYMTAB)
    total = sum(len(symbol[0]) for symbol in member.symbols)

    monkeypatch.setattr(symbol_table, "_MAX_NAMES", total)
    assert read_symbols(native, member.tables, table, member.places) == member.symbols
    monkeypatch.setattr(symbol_table, "_MAX_NAMES", total - 1)
    with pytest.raises(ElfError, match="names are huge"):
        read_symbols(native, member.tables, table, member.places)


@pytest.mark.parametrize(
    ("names", "count", "maybe"),
    [
        (b"\0" + b"n" * 50 + b"\0", 2, False),
        (b"\0" + b"n" * 51 + b"\0", 2, True),
        (b"n" * 51 + b"\0", 2, True),
        (b"\0" * 500, 2, False),
        (b"\0n" * 500, 99, False),
    ],
    ids=["just short enough", "one too long", "a first one too long", "empty ones", "short ones"],
)
def test_the_longest_name_bounds_them_all(
    names: bytes,
    count: int,
    maybe: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names come to no more than their number times the longest, however they share their tails."""
    monkeypatch.setattr(symbol_table, "_MAX_NAMES", 100)

    assert symbol_table._may_be_huge(names, count) is maybe
