from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection, GNUVerSymSection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimmer.content import Content
from slimmer.elf.hashes import gnu_hash
from slimmer.elf.linking.dynamic import DF_1_NODEFLIB, Dynamic, read_dynamic, read_outline, split
from slimmer.elf.linking.symbols import Symbols, Wanted
from slimmer.elf.object import PT_DYNAMIC, parse
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[[Path], Content]
    Compile = Callable[..., Path]

LIBC = next(path for path in map(Path, ("/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6")) if path.exists())


def dynamic_of(content: Content) -> Dynamic:
    """Give what an object tells the dynamic linker, which must be something."""
    dynamic = read_dynamic(parse(content))
    assert dynamic is not None
    return dynamic


def wanted_of(content: Content, *wanted: bytes) -> tuple[Symbols, bool]:
    """Give the symbols of an object of which others look up only some, and whether these were found by their hashes."""
    outline = read_outline(parse(content), {})
    assert outline is not None
    return outline.complete(Wanted({key: key for key in wanted})).symbols, outline.table.hashes is not None


def versions_by_pyelftools(elf: Any) -> tuple[dict[int, str], list[Any]]:
    """Give the name of each version index, and each symbol's index."""
    names: dict[int, str] = {}
    indices: list[Any] = []
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            names |= {aux["vna_other"]: aux.name for _, auxes in section.iter_versions() for aux in auxes}
        elif isinstance(section, GNUVerDefSection):
            named = [(version, next(iter(auxes)).name) for version, auxes in section.iter_versions()]
            names |= {version["vd_ndx"]: name for version, name in named if not version["vd_flags"] & 1}
        elif isinstance(section, GNUVerSymSection):
            indices = [entry["ndx"] for entry in section.iter_symbols()]
    return names, indices


def by_pyelftools(path: Path) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Give the defined and the undefined global symbols with their versions, as pyelftools reads them from sections."""
    defined, undefined = set(), set()
    with path.open("rb") as stream:
        elf: Any = ELFFile(stream)
        names, indices = versions_by_pyelftools(elf)
        for number, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
            index = indices[number] if indices else 1
            version = names.get(index & 0x7FFF, "") if isinstance(index, int) else ""
            if symbol["st_info"]["bind"] == "STB_LOCAL" or not symbol.name:
                continue
            if symbol["st_shndx"] != "SHN_UNDEF":
                defined.add((symbol.name, version))
            elif symbol["st_info"]["bind"] != "STB_WEAK":
                undefined.add((symbol.name, version))
    return defined, undefined


@pytest.mark.parametrize("path", [LIBC, Path(sys.executable).resolve(), Path("/bin/ls")], ids=lambda path: path.name)
def test_symbols_are_those_of_pyelftools(path: Path, opened: Open) -> None:
    """The C library, an interpreter and a program: names and versions are what another reader says."""
    symbols = dynamic_of(opened(path)).symbols

    defined, undefined = by_pyelftools(path)
    assert {split(symbol) for symbol in symbols.undefined} == undefined
    assert {split(symbol) for symbol in symbols.versioned | symbols.unversioned} == defined


@pytest.mark.parametrize("style", ["sysv", "gnu", "both"])
@pytest.mark.parametrize("sections", [True, False], ids=["sections", "no sections"])
def test_the_hash_table_says_how_many_symbols(style: str, sections: bool, compiled: Compile) -> None:  # noqa: FBT001
    """Whichever hash table there is, and whether or not there are section headers, no symbol is lost."""
    data = bytearray(compiled("answer", f"-Wl,--hash-style={style}").read_bytes())
    if not sections:
        data[40:48], data[58:64] = bytes(8), bytes(6)

    symbols = dynamic_of(Content.of(bytes(data))).symbols

    assert symbols.unversioned >= {b"answer", b"count", b"exported_table"}
    assert {split(symbol)[0] for symbol in symbols.undefined} == {"__tls_get_addr"}


@pytest.mark.parametrize("bits", [64, 32])
def test_both_classes(bits: int, compiled: Compile) -> None:
    """What is needed, the soname, the runpath, the flags and the symbols are read from objects of 32 bits as well."""
    flags = [f"-m{bits}", "-nostdlib", "-Wl,-soname,libx.so.1", "-Wl,-rpath,/a:$ORIGIN", "-Wl,-z,nodefaultlib"]
    dynamic = dynamic_of(Content.of(compiled("linkage_extension", *flags).read_bytes()))

    assert dynamic.form.bits == bits
    assert (dynamic.soname, dynamic.runpath, dynamic.rpath) == ("libx.so.1", "/a:$ORIGIN", None)
    assert dynamic.flags_1 & DF_1_NODEFLIB
    assert dynamic.symbols.undefined == {b"callback"}
    assert dynamic.symbols.unversioned == {b"extends"}


@pytest.mark.parametrize("path", [LIBC, Path(sys.executable).resolve(), Path("/bin/ls")], ids=lambda path: path.name)
def test_what_is_wanted_is_found_by_its_hash(path: Path, opened: Open) -> None:
    """Whatever is wanted of a large object's symbols, it is what all of them hold of these names."""
    every = dynamic_of(opened(path)).symbols
    keys = sorted(every.versioned | every.unversioned | every.default)

    assert_wanted(opened(path), every, *keys[::3], b"not_there", by_hash=True)
    assert_wanted(opened(path), every, b"not_there\0V_1", by_hash=True)


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("style", ["sysv", "gnu", "both"])
def test_what_is_wanted_is_found_with_and_without_hashes(style: str, bits: int, compiled: Compile) -> None:
    """With the older hash table alone all names are read, and what is found is the same."""
    flags = [f"-m{bits}", "-nostdlib", f"-Wl,--hash-style={style}"]
    content = Content.of(compiled("linkage_extension", *flags).read_bytes())
    every = dynamic_of(content).symbols

    assert every.unversioned == {b"extends"}
    for wanted in ([b"extends", b"callback"], [b"extends\0V_1"], [b"callback"], []):
        assert_wanted(content, every, *wanted, by_hash=style != "sysv")


def test_a_name_without_an_end_is_found_though_nobody_wants_it(compiled: Compile) -> None:
    """Whether an object is well formed does not depend on what others look up."""
    data = bytearray(compiled("answer", "-Wl,--hash-style=gnu").read_bytes())
    section = parse(Content.of(bytes(data))).section_named(".dynsym")
    assert section is not None
    data[section.offset + section.size - 24 : section.offset + section.size - 20] = struct.pack("<I", 1 << 30)

    with pytest.raises(ElfError, match="has no end in the dynamic string table"):
        wanted_of(Content.of(bytes(data)), b"nobody")


def assert_wanted(content: Content, every: Symbols, *wanted: bytes, by_hash: bool) -> None:
    """Assert that of an object's symbols all that have a wanted name are found, and no others."""
    found, is_by_hash = wanted_of(content, *wanted)
    names = {key.partition(b"\0")[0] for key in wanted}
    for kind in ("unversioned", "versioned", "default", "visible"):
        assert getattr(found, kind) == {key for key in getattr(every, kind) if key.partition(b"\0")[0] in names}
    assert found.undefined == every.undefined
    assert is_by_hash == by_hash


@pytest.mark.parametrize("by_hash", [False, True])
def test_big_endian(by_hash: bool) -> None:  # noqa: FBT001
    """An object of 32 bits in the other byte order, written by hand, is read like any other."""
    strings = b"\0libm.so\0there\0away\0"
    place = 0x100
    symbols = struct.pack(">IIIBBH", 0, 0, 0, 0, 0, 0)
    symbols += struct.pack(">IIIBBH", 9, 0x100, 4, 0x12, 0, 7) + struct.pack(">IIIBBH", 15, 0, 0, 0x12, 0, 0)
    hashes = struct.pack(">IIIIII", 1, 3, 0, 0, 0, 0)
    if by_hash:
        hashes = struct.pack(">8I", 1, 1, 1, 0, 0, 1, gnu_hash(b"there") & ~1, gnu_hash(b"away") | 1)
    at_symbols, at_hash = place + len(strings), place + len(strings) + len(symbols)
    at_dynamic = at_hash + len(hashes)
    tag = 0x6FFFFEF5 if by_hash else 4
    table = struct.pack(">12I", 1, 1, 5, place, 10, len(strings), 6, at_symbols, tag, at_hash, 0, 0)
    total = at_dynamic + len(table)
    header = b"\x7fELF\x01\x02\x01" + bytes(9) + struct.pack(">HHIIIIIHHHHHH", 3, 8, 1, 0, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    header += struct.pack(">8I", 1, 0, 0, 0, total, total, 4, 1)
    header += struct.pack(">8I", 2, at_dynamic, at_dynamic, 0, len(table), len(table), 4, 1)
    data = header.ljust(place, b"\0") + strings + symbols + hashes + table

    dynamic = dynamic_of(Content.of(data))

    assert dynamic.needed == ("libm.so",)
    assert dynamic.symbols.unversioned == {b"there"}
    assert dynamic.symbols.undefined == {b"away"}
    assert_wanted(Content.of(data), dynamic.symbols, b"there", b"away", by_hash=by_hash)
    assert_wanted(Content.of(data), dynamic.symbols, b"elsewhere", by_hash=by_hash)


def test_a_program_names_its_interpreter(opened: Open) -> None:
    """PT_INTERP is who loads it; a library has none."""
    assert "/ld-linux" in (dynamic_of(opened(Path("/bin/ls"))).interpreter or "")


def test_what_is_linked_statically_tells_nothing(tmp_path: Path, opened: Open) -> None:
    """A program without a dynamic segment has no linkage."""
    program = tmp_path / "static"
    source = Path(__file__).parent.parent.parent / "fixtures" / "elf" / "sleeper.c"
    subprocess.run(["gcc", "-static", "-o", program, source], check=True, capture_output=True)

    assert read_dynamic(parse(opened(program))) is None


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give a library with versions needed and defined, and both hash tables."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "versions.map").write_text("V_1 { global: answer; };\nV_2 { global: count; } V_1;\n")
    source = Path(__file__).parent.parent.parent / "fixtures" / "elf" / "answer.c"
    flags = ["-Wl,--hash-style=both", f"-Wl,--version-script,{folder / 'versions.map'}", "-Wl,-rpath,$ORIGIN"]
    subprocess.run(["gcc", "-shared", "-fPIC", *flags, "-o", folder / "a.so", source], check=True, capture_output=True)
    return (folder / "a.so").read_bytes()


@settings(max_examples=int(os.environ.get("EXAMPLES", "300")), deadline=2000, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_is_an_elf_error_or_a_result(data: st.DataObject, sample: bytes) -> None:
    """However the dynamic table, the symbols, hashes and versions are changed, nothing else is raised and nothing hangs."""
    elf = parse(Content.of(sample))
    tables = [(segment.offset, segment.filesz) for segment in elf.segments if segment.type == PT_DYNAMIC]
    tables += [
        (section.offset, section.size)
        for section in elf.sections
        if section.name
        in {".dynsym", ".hash", ".gnu.hash", ".gnu.version", ".gnu.version_r", ".gnu.version_d", ".dynstr"}
    ]
    damaged = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        offset, size = data.draw(st.sampled_from(tables))
        width = data.draw(st.sampled_from([1, 2, 4, 8]))
        at = offset + data.draw(st.integers(0, max(size // width - 1, 0))) * width
        edge = st.sampled_from([0, 1, 2**31, 2 ** (8 * width) - 1, offset, len(sample)])
        value = data.draw(edge | st.integers(0, 2 ** (8 * width) - 1)) % 2 ** (8 * width)
        damaged[at : at + width] = value.to_bytes(width, "little")
    try:
        outline = read_outline(parse(Content.of(bytes(damaged))), {})
        if outline is not None:
            outline.complete(Wanted({key: key for key in (b"answer", b"count\0V_2")}))
            outline.complete(None)
    except ElfError as error:
        assert str(error)
