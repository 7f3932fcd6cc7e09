from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from slimmer.content import Content
from slimmer.elf.contract import violations
from slimmer.elf.layout import without_dead_ranges
from slimmer.elf.object import SHT_NULL, parse
from slimmer.elf.removable import removable

from handmade import save
from loading import call, patchelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[[Path], Content]
    Compile = Callable[..., Path]

VARIANTS = [
    pytest.param(("-g",), id="debug"),
    pytest.param((), id="symbols only"),
    pytest.param(("-g", "-gz=zlib"), id="compressed debug"),
    pytest.param(("-g", "-gsplit-dwarf"), id="split debug"),
    pytest.param(("-g3", "-Wl,-z,max-page-size=0x200000"), id="pages of 2 MiB"),
    pytest.param(("-g", "-Wl,-z,noseparate-code"), id="code and data in one page"),
    pytest.param(("-g", "-Wl,--hash-style=sysv", "-Wl,--build-id"), id="old hash table"),
    pytest.param(("-g", "-fuse-ld=gold"), id="gold"),
    pytest.param(("-g", "-Wl,-z,pack-relative-relocs"), id="relative relocations packed"),
]


def slim(content: Content) -> Content:
    """Give the slimmed object, which must be proved and smaller."""
    slimmed = without_dead_ranges(parse(content))
    assert slimmed is not None
    assert violations(content, slimmed) == []
    assert slimmed.size < content.size
    return slimmed


def section_names(path: Path) -> set[str]:
    """Give the names of an object's sections, as readelf prints them."""
    done = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True)
    lines = (line.partition("]")[2].split() for line in done.stdout.splitlines() if "] ." in line or "] pydata" in line)
    return {words[0] for words in lines}


@pytest.mark.parametrize("flags", VARIANTS)
def test_a_slimmed_library_works(flags: tuple[str, ...], compiled: Compile, opened: Open, tmp_path: Path) -> None:
    """It loads, its functions compute, its thread-local counter counts, and a library that binds to it still binds."""
    library = compiled("answer", *flags)
    (tmp_path / "slim").mkdir()
    slimmed = save(slim(opened(library)), tmp_path / "slim" / "libanswer.so")
    user = compiled("needs_answer", libraries=(f"-L{tmp_path}", "-lanswer", f"-Wl,-rpath,{tmp_path / 'slim'}"))

    assert call(slimmed, "answer") == 42
    assert call(slimmed, "count") == 1
    assert call(user, "twice") == 84


@pytest.mark.parametrize("flags", VARIANTS)
def test_the_same_sections_go_as_with_gnu_strip(
    flags: tuple[str, ...], compiled: Compile, opened: Open, tmp_path: Path
) -> None:
    """`strip --strip-unneeded` is the specification of what goes: after it and after slimmer the same sections are there."""
    library = compiled("answer", *flags)
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, library], check=True)
    slimmed = save(slim(opened(library)), tmp_path / "slimmed.so")

    assert section_names(slimmed) == section_names(stripped)
    assert "pydata" in section_names(slimmed)


def test_a_second_time_changes_nothing(compiled: Compile, opened: Open) -> None:
    """What is slimmed has nothing to spare."""
    slimmed = slim(opened(compiled("answer", "-g")))

    assert without_dead_ranges(parse(slimmed)) is None


def test_gnu_strip_takes_the_result(compiled: Compile, opened: Open, tmp_path: Path) -> None:
    """The section headers that became SHT_NULL do not confuse the next tool: strip exits 0 and the library loads."""
    slimmed = save(slim(opened(compiled("answer", "-g"))), tmp_path / "slimmed.so")

    done = subprocess.run(["strip", "--strip-unneeded", slimmed], check=True, capture_output=True, text=True)

    assert done.stderr == ""
    assert call(slimmed, "answer") == 42


def test_indices_of_loaded_sections_do_not_shift(compiled: Compile, opened: Open) -> None:
    """A loaded section keeps its index, by which dynamic symbols name it; references follow those that moved up."""
    before = parse(opened(compiled("answer", "-g")))
    after = parse(slim(before.content))

    gone = removable(before)
    assert gone
    assert [section.name for section in after.sections] == [
        section.name for section in before.sections if section.index not in gone
    ]
    last = max(section.index for section in before.sections if section.is_allocated)
    for was, now in zip(before.sections[: last + 1], after.sections, strict=False):
        assert (was.name, was.addr, was.size, was.link, was.info) == (now.name, now.addr, now.size, now.link, now.info)
    assert after.sections[after.shstrndx].name == ".shstrtab"


def test_indices_that_symbols_may_name_do_not_shift(compiled: Compile, opened: Open) -> None:
    """Where a symbol table stays, it may name any section: a removed one leaves its number behind as SHT_NULL."""
    before = parse(opened(compiled("answer", "-g", "-Wl,--emit-relocs")))
    after = parse(slim(before.content))

    gone = removable(before)
    assert gone
    for was, now in zip(before.sections, after.sections, strict=True):
        assert (now.type == SHT_NULL) == (was.index in gone or was.type == SHT_NULL)
        if was.index not in gone:
            assert (was.name, was.addr, was.link, was.info) == (now.name, now.addr, now.link, now.info)


def test_names_of_removed_sections_go(compiled: Compile, opened: Open) -> None:
    """No name of a section that is gone is left in the file, and those that stay read as before."""
    after = parse(slim(opened(compiled("answer", "-g"))))

    names = after.content.read_at(after.sections[after.shstrndx].offset, after.sections[after.shstrndx].size)
    assert b".debug" not in names
    assert b".symtab" not in names
    assert {section.name for section in after.sections} >= {"", ".dynsym", ".text", "pydata", ".shstrtab"}


@pytest.mark.parametrize("edits", [1, 2, 3, 5])
def test_patchelfed_libraries(edits: int, compiled: Compile, opened: Open, tmp_path: Path) -> None:
    """auditwheel edits libraries several times, which leaves segments behind symbols and segments without sections.

    GNU strip 2.40 makes such files unloadable and exits 0; numpy 2's OpenBLAS is one of them.
    """
    library = compiled("answer", "-g3")  # symbols and debug information of several pages
    for edit in range(edits):
        name = f"libanswer-{'x' * (40 * edit)}.so"
        subprocess.run(
            [patchelf(), "--set-soname", name, "--set-rpath", "$ORIGIN/" + "r" * 99 * (edit + 1), library], check=True
        )
    before = parse(opened(library))

    slimmed = slim(before.content)

    dead = sum(before.sections[index].size for index in removable(before))
    assert before.content.size - slimmed.size > dead - 0x1000 * (1 + edits)
    assert call(save(slimmed, tmp_path / "slimmed.so"), "answer") == 42


def test_symbols_that_kept_relocations_need_stay(compiled: Compile, opened: Open) -> None:
    """With --emit-relocs the symbol table is what relocations refer to; only debug information goes."""
    library = compiled("answer", "-g", "-Wl,--emit-relocs")

    after = parse(slim(opened(library)))

    assert after.section_named(".symtab") is not None
    assert after.section_named(".debug_info") is None


def test_nothing_to_remove_is_nothing(compiled: Compile, opened: Open) -> None:
    """A library without symbols is left alone, not written anew."""
    assert without_dead_ranges(parse(opened(compiled("answer", "-s")))) is None


def test_bytes_that_nobody_owns_stay(compiled: Compile, opened: Open, tmp_path: Path) -> None:
    """Bytes between sections that no header knows are somebody's, unless they are zeros beside what goes."""
    library = compiled("answer", "-g")
    elf = parse(opened(library))
    data = elf.content.read_at(0, elf.content.size)
    # Cut the last section that stays off its end: its last bytes are nobody's now.
    section = elf.section_named("pydata")
    assert section is not None
    where = elf.header.shoff + section.index * elf.header.shentsize + 32
    data = data[:where] + (section.size - 4).to_bytes(8, "little") + data[where + 8 :]
    owned = data[section.offset + section.size - 4 : section.offset + section.size]

    slimmed = without_dead_ranges(parse(Content.of(data)))

    assert slimmed is not None
    assert data[section.offset : section.offset + section.size] in slimmed.read_at(0, slimmed.size)
    assert len(owned) == 4
