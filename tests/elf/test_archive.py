from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimmer.content import Content
from slimmer.elf.archives import ar
from slimmer.elf.archives.archive import FLAGS, StrippedAlreadyError, archive_violations, examine, slim_archive
from slimmer.elf.binutils import Strip, find_strip
from slimmer.elf.object import parse
from slimmer.errors import ElfError

from handmade import save

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[..., Path]

SOURCES = Path(__file__).parents[2] / "fixtures" / "elf"
LONG = "archive_near_whose_name_is_longer_than_a_header_holds.o"

VARIANTS = [
    pytest.param(("-g", "-O2"), id="debug"),
    pytest.param(("-g3", "-O0"), id="macros"),
    pytest.param(("-O2", "-ffunction-sections", "-fdata-sections", "-g", "-Wl,--gc-sections"), id="function sections"),
    pytest.param(("-g", "-fcommon"), id="common symbols"),
    pytest.param(("-g", "-gz=zlib", "-fPIC"), id="compressed debug, position independent"),
    pytest.param(("-g", "-gsplit-dwarf"), id="split debug"),
    pytest.param(("-g", "-fdebug-types-section"), id="groups of debug sections"),
    pytest.param(("-g", "-fcommon", "-fuse-ld=gold"), id="gold"),
]


def run(*command: str | Path) -> None:
    """Run a program that must succeed."""
    subprocess.run(command, check=True, capture_output=True)


def read(path: Path) -> Content:
    """Give a file's bytes as a content that needs no closing."""
    return Content.of(path.read_bytes())


@pytest.fixture(scope="session")
def strip() -> Strip:
    """Give this machine's strip."""
    found = find_strip()
    assert found is not None, "binutils is not installed"
    return found


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Give a function that makes an archive of C texts, each compiled with the same flags."""

    def make(*texts: str, flags: tuple[str, ...] = ("-g",), mode: str = "qcs") -> Path:
        objects = []
        for number, text in enumerate(texts):
            source = tmp_path / f"m{number}.c"
            source.write_text(text)
            objects.append(source.with_suffix(".o"))
            run("gcc", "-c", "-O1", *flags, "-o", objects[-1], source)
        library = tmp_path / "libtext.a"
        library.unlink(missing_ok=True)
        run("gcc-ar", mode, library, *objects)
        return library

    return make


# Enough debug information for a gain of a page.
BIG = "".join(f"struct s{n} {{ int first_{n}; char *second_{n}; }} v{n};\n" for n in range(60))
ONE = (
    BIG
    + "static int hidden(int x) { return x * 3; } int (*one)(int) = hidden; int f(void) { return one(2) + v3.first_3; }"
)
TWO = (
    "extern int f(void); __attribute__((weak)) int g(void) { return f(); } int table[9] = {1, 2}; int *end = table + 4;"
)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    """Give a function that makes the archive of fixtures/elf: C, C++ templates, duplicate and long names."""

    def make(flags: tuple[str, ...]) -> Path:
        directory = tmp_path_factory.mktemp("archive")
        (directory / "again").mkdir()
        flags = tuple(flag for flag in flags if not flag.startswith(("-Wl", "-fuse")))
        objects = []
        for name, source, *defines in (
            ("archive_parts.o", "archive_parts.c"),
            ("same.o", "archive_far.c", "-fcommon"),
            ("again/same.o", "archive_far.c", "-DFAR=archive_other", "-fcommon"),
            (LONG, "archive_far.c", "-DFAR=archive_near", "-fcommon"),
            ("one.o", "archive_templates.cc", "-DUNIT=templates_one"),
            ("two.o", "archive_templates.cc", "-DUNIT=templates_two"),
        ):
            objects.append(directory / name)
            run("g++" if source.endswith("cc") else "gcc", "-c", *flags, *defines, "-o", objects[-1], SOURCES / source)
        run("ar", "qcs", directory / "libparts.a", *objects)
        return directory / "libparts.a"

    return make


def printed(library: Path, flags: tuple[str, ...]) -> tuple[int, str]:
    """Give exit status and output of the program linked against LIBRARY."""
    program = library.parent / "program"
    run("gcc", "-fcommon", "-c", "-o", library.parent / "main.o", SOURCES / "archive_main.c")
    run("g++", *flags, "-o", program, library.parent / "main.o", library)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("flags", VARIANTS)
def test_a_program_linked_with_the_slimmed_archive_does_the_same(
    flags: tuple[str, ...], library: Callable[[tuple[str, ...]], Path], strip: Strip, tmp_path: Path
) -> None:
    """It links, prints the same and exits the same; what debuggers read is gone, and a second time nothing is left."""
    original = library(flags)

    slimmed = save(slim_archive(read(original), None, strip), tmp_path / "libparts.a")

    assert slimmed.stat().st_size < original.stat().st_size
    assert printed(slimmed, flags) == printed(original, flags)
    assert printed(slimmed, flags)[0] == 7
    names = [member.name for member in ar.parse(read(slimmed)).members]
    assert names == ["archive_parts.o", "same.o", "same.o", LONG, "one.o", "two.o"]
    assert b".debug_info" not in slimmed.read_bytes()
    with pytest.raises(StrippedAlreadyError):
        slim_archive(read(slimmed), None, strip)


def test_the_same_archive_gives_the_same_bytes(build: Build, strip: Strip) -> None:
    """The result names no time, owner or directory."""
    original = read(build(ONE, TWO))

    first, second = slim_archive(original, None, strip), slim_archive(original, None, strip)

    assert not first.differs(second)
    assert archive_violations(original, first) == []


def test_more_sections_than_a_symbol_can_name(tmp_path: Path, strip: Strip) -> None:
    """From 65,280 sections on, symbols name theirs in a table apart (SHT_SYMTAB_SHNDX); they are compared as well."""
    text = "".join(f'.section .text.f{n},"ax"\n.globl f{n}\nf{n}: .byte 1\n' for n in range(66000))
    (tmp_path / "many.s").write_text(text + ".section .debug_str\n.zero 9000\n")
    run("as", "-o", tmp_path / "many.o", tmp_path / "many.s")
    run("ar", "qcs", tmp_path / "many.a", tmp_path / "many.o")
    original = read(tmp_path / "many.a")

    slimmed = slim_archive(original, None, strip)

    # The last symbol's section, moved by one.
    elf = parse(ar.parse(slimmed).data(ar.parse(slimmed).members[0]))
    table = next(section for section in elf.sections if section.type == 18)
    data = bytearray(slimmed.read_at(0, slimmed.size))
    last = ar.parse(slimmed).members[0].offset + table.offset + table.size - 4
    struct.pack_into("<I", data, last, struct.unpack_from("<I", data, last)[0] - 1)
    assert "member many.o: it defines other symbols" in archive_violations(original, Content.of(bytes(data)))


def test_an_undefined_symbol_without_relocation_is_wanted(build: Build, strip: Strip) -> None:
    """`.globl name` makes a linker take the member that defines it; GNU strip drops it and exits 0: such archives stay.

    glibc's libc.a does so with pthread_mutex_lock and others, where weak references would leave them out.
    """
    original = read(build(BIG + '__asm__(".globl wanted_elsewhere"); int f(void) { return 1; }'))

    with pytest.raises(ElfError, match=r"the proof failed: member m0\.o: it wants other symbols"):
        slim_archive(original, None, strip)


def test_a_failed_proof_ends_with_the_third_violation(build: Build, strip: Strip) -> None:
    """Three say why an archive stays; whoever asks for all gets all."""
    texts = [BIG + f'__asm__(".globl wanted_{n}"); int f{n}(void) {{ return 1; }}' for n in range(5)]
    original = read(build(*texts, flags=("-g", "-fcommon")))

    sentences = [f"member m{n}.o: it wants other symbols" for n in range(5)]
    with pytest.raises(ElfError) as caught:
        slim_archive(original, None, strip)

    assert str(caught.value) == "the proof failed: " + "; ".join(sentences[:3])
    assert archive_violations(original, strip.run(original, FLAGS, 60)) == sentences


def test_the_offset_table_may_vanish(build: Build, strip: Strip) -> None:
    """_GLOBAL_OFFSET_TABLE_ is the linker's own, and stands in objects that have no relocation for it."""
    original = build(BIG + "extern int away; int f(void) { return away; }", flags=("-g", "-fPIC"))
    with_table = original.with_name("m0.o")
    run("objcopy", "--add-symbol", "_GLOBAL_OFFSET_TABLE_=0,global", with_table)
    (original.parent / "t.s").write_text(".globl _GLOBAL_OFFSET_TABLE_\n.weak nothing\n.globl h\nh: .long 1\n")
    run("as", "-o", original.parent / "t.o", original.parent / "t.s")
    run("ar", "qs", original, original.parent / "t.o")

    assert archive_violations(read(original), slim_archive(read(original), None, strip)) == []


def test_symbols_by_number_that_linkers_ignore_are_no_reason(build: Build, strip: Strip) -> None:
    """Any strip program takes the symbol table from .llvm_addrsig: what is stripped already can be slimmed."""
    section = '__asm__(".pushsection .llvm_addrsig,\\"e\\",@0x6fff4c03\\n.byte 1,2\\n.popsection");'
    original = read(build(ONE + section))

    assert archive_violations(original, slim_archive(original, None, strip)) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        pytest.param(("-flto", "-fno-fat-lto-objects"), r"link-time optimization \(\.gnu\.lto_", id="slim LTO"),
        pytest.param(("-flto", "-ffat-lto-objects"), r"link-time optimization \(\.gnu\.", id="fat LTO"),
        pytest.param(("-flto", "-ffat-lto-objects", "-g"), r"link-time optimization", id="fat LTO with debug"),
    ],
)
def test_archives_for_link_time_optimization_stay(
    flags: tuple[str, ...], words: str, build: Build, strip: Strip
) -> None:
    """GNU strip destroys them with exit status 0."""
    original = read(build(ONE, TWO, flags=flags))

    with pytest.raises(ElfError, match=words):
        slim_archive(original, None, strip)


def _with_member(name: str, data: bytes) -> Callable[[Path], bytes]:
    def make(library: Path) -> bytes:
        (library.parent / name).write_bytes(data)
        run("ar", "qs", library, library.parent / name)
        return library.read_bytes()

    return make


def _patched_machine(library: Path, machine: int) -> bytes:
    found = ar.parse(read(library))
    data = bytearray(library.read_bytes())
    struct.pack_into("<H", data, found.members[-1].offset + 18, machine)
    return bytes(data)


def _with_section(library: Path, kind: int) -> bytes:
    """Give the archive with its last member's .comment made a section of another type."""
    found = ar.parse(read(library))
    elf = parse(found.data(found.members[-1]))
    section = elf.section_named(".comment")
    assert section is not None
    data = bytearray(library.read_bytes())
    place = found.members[-1].offset + elf.header.shoff + section.index * elf.header.shentsize + 4
    struct.pack_into("<I", data, place, kind)
    return bytes(data)


def _remade(library: Path, mode: str, *members: str) -> bytes:
    """Give another archive, made by `ar MODE` of members of the first."""
    other = library.with_name("other.a")
    run("ar", mode, other, *(library.with_name(name) for name in members))
    return other.read_bytes()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda library: _remade(library, "qcsT", "m0.o"), "thin", id="thin"),
        pytest.param(lambda library: _remade(library, "qcS", "m0.o"), "no index", id="no index"),
        pytest.param(lambda library: _remade(library, "qc"), "an empty archive", id="no members"),
        pytest.param(lambda _: b"", "an empty file", id="zero bytes"),
        pytest.param(lambda _: b"INPUT ( libncurses.so.6 -ltinfo )\n", "a text", id="linker script"),
        pytest.param(lambda library: library.read_bytes()[:-99], "truncated", id="truncated"),
        pytest.param(_with_member("readme.txt", b"read me"), r"readme\.txt is not an ELF object", id="a text member"),
        pytest.param(_with_member("nothing.o", b""), r"nothing\.o is not an ELF object", id="an empty member"),
        pytest.param(_with_member("inner.a", ar.MAGIC), r"inner\.a is an archive itself", id="nested"),
        pytest.param(_with_member("clang.o", b"BC\xc0\xde" + bytes(99)), "is LLVM bitcode", id="bitcode"),
        pytest.param(_with_member("_go_.o", b"go object linux amd64 go1.22\n"), "is a Go object", id="Go"),
        pytest.param(_with_member("cut.o", b"\x7fELF\2\1\1" + bytes(30)), "outside the file", id="a cut object"),
        pytest.param(_with_member("true", Path("/bin/true").read_bytes()), "not a relocatable", id="an executable"),
        pytest.param(lambda library: _patched_machine(library, 183), r"another machine \(e_machine 183", id="mixed"),
        pytest.param(lambda library: _patched_machine(library, 247), "an eBPF program", id="eBPF"),
        pytest.param(lambda library: _with_section(library, 0x6FFF4C03), "unknown type", id="symbols by number"),
    ],
)
def test_what_strip_would_break_stays(make: Callable[[Path], bytes], words: str, build: Build, strip: Strip) -> None:
    """Each kind of archive that strip destroys, or complains of, is kept with what it is as the reason."""
    content = Content.of(make(build(ONE, TWO)))

    with pytest.raises(ElfError, match=words) as caught:
        slim_archive(content, None, strip)

    with pytest.raises(ElfError, match=words):
        examine(content, None)
    assert not str(caught.value).startswith("the proof failed")


def test_archives_for_another_machine_than_the_images_stay(build: Build) -> None:
    """The image's machine decides, where it is known; else that of the first member."""
    original = read(build(ONE))
    machine = parse(ar.parse(original).data(ar.parse(original).members[0])).header.machine

    examine(original, machine)
    examine(original, None)
    with pytest.raises(ElfError, match=rf"member m0.o is for another machine \(e_machine {machine}\)"):
        examine(original, machine + 1)


def test_too_little_to_save(build: Build, strip: Strip) -> None:
    """An archive that would lose less than a page stays as it is."""
    with pytest.raises(ElfError, match="less than 4096 bytes to save"):
        slim_archive(read(build("static int x; int *f(void) { return &x; }")), None, strip)


def _rearranged(slim: Path) -> None:
    run("ar", "ma", "m1.o", slim, "m0.o")


def _edited(*options: str) -> Callable[[Path], None]:
    """Give a function that edits the first member with objcopy."""

    def edit(slim: Path) -> None:
        directory = slim.parent / "edited"
        directory.mkdir()
        subprocess.run(["ar", "x", slim, "m0.o"], check=True, cwd=directory)
        run("objcopy", *options, directory / "m0.o")
        run("ar", "rs", slim, directory / "m0.o")

    return edit


def _patched(section_name: str, offset: int, data: bytes) -> Callable[[Path], None]:
    """Give a function that writes over a section of the last member."""

    def edit(slim: Path) -> None:
        found = ar.parse(read(slim))
        section = parse(found.data(found.members[-1])).section_named(section_name)
        assert section is not None
        all_bytes = bytearray(slim.read_bytes())
        place = found.members[-1].offset + section.offset + offset
        all_bytes[place : place + len(data)] = data
        slim.write_bytes(all_bytes)

    return edit


def _other_index(slim: Path) -> None:
    slim.write_bytes(slim.read_bytes().replace(b"\0one\0", b"\0eno\0", 1))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        pytest.param(_rearranged, "other members", id="order of members"),
        pytest.param(lambda slim: run("ar", "d", slim, "m0.o"), "other members", id="member gone"),
        pytest.param(lambda slim: run("strip", "-s", slim), "", id="all symbols gone"),
        pytest.param(_other_index, "index names other", id="index"),
        pytest.param(_edited("--redefine-sym", "f=other"), "defines other symbols", id="symbol renamed"),
        pytest.param(_edited("--weaken-symbol", "f"), "defines other symbols", id="symbol weakened"),
        pytest.param(_edited("--localize-symbol", "f"), "defines other symbols", id="symbol localized"),
        pytest.param(_edited("--set-section-alignment", ".text=64"), "other sections", id="alignment"),
        pytest.param(_edited("--remove-section", ".note.GNU-stack"), "other sections", id="stack note gone"),
        pytest.param(_edited("--remove-section", ".comment"), "other sections", id="comment gone"),
        pytest.param(_edited("--add-section", "x=/etc/hostname"), "other sections", id="section added"),
        pytest.param(_edited("--remove-relocations", ".text"), "other relocations", id="relocations gone"),
        pytest.param(_patched(".text", 3, b"\xcc"), "section .text has other bytes", id="code"),
        pytest.param(_patched(".data", 0, b"\x07"), "section .data has other bytes", id="data"),
        pytest.param(_patched(".comment", 1, b"X"), "section .comment has other bytes", id="what is not loaded"),
        pytest.param(_patched(".rela.data", 0, b"\x04"), "other relocations", id="a relocation's place"),
        pytest.param(_patched(".rela.data", 8, b"\x02"), "other relocations", id="a relocation's type"),
        pytest.param(_patched(".rela.data", 16, b"\x20"), "other relocations", id="a relocation's addend"),
        pytest.param(_patched(".symtab", 4, b"\xff" * 999), "", id="symbols overwritten"),
        pytest.param(lambda slim: slim.write_bytes(slim.read_bytes()[:-7]), "cannot be read back", id="cut short"),
        pytest.param(lambda slim: slim.write_bytes(b""), "cannot be read back", id="empty"),
    ],
)
def test_each_breakage_of_an_archive_is_a_violation(
    break_it: Callable[[Path], None], words: str, build: Build, strip: Strip, tmp_path: Path
) -> None:
    """Whatever a linker would notice is noticed, and named."""
    data_relocations = "int data[4] = {1, 2, 3, 4}; int *into = data + 2;"
    original = read(build(ONE, TWO + data_relocations, flags=("-g", "-fno-pic")))
    slim = save(slim_archive(original, None, strip), tmp_path / "slim.a")

    break_it(slim)

    found = archive_violations(original, read(slim))
    assert any(words in sentence for sentence in found), found


def test_a_changed_section_group_is_a_violation(
    library: Callable[[tuple[str, ...]], Path], strip: Strip, tmp_path: Path
) -> None:
    """A COMDAT group that is none any more, or has another member, makes a linker keep two or drop too much."""
    original = read(library(("-g",)))
    slim = save(slim_archive(original, None, strip), tmp_path / "slim.a")

    for offset, data in ((0, b"\0"), (4, b"\1")):
        _patched(".group", offset, data)(slim)

        assert any("section groups" in sentence for sentence in archive_violations(original, read(slim)))


@pytest.fixture(scope="session")
def mutable(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give a small archive to be damaged."""
    directory = tmp_path_factory.mktemp("mutable")
    (directory / "one.c").write_text(ONE)
    (directory / "two.c").write_text(TWO)
    for name in ("one", "two"):
        run("gcc", "-c", "-g", "-ffunction-sections", "-o", directory / f"{name}.o", directory / f"{name}.c")
    run("ar", "qcs", directory / "lib.a", directory / "one.o", directory / "two.o")
    return (directory / "lib.a").read_bytes()


def _places(data: bytes) -> list[int]:
    """Give where it hurts: headers, symbols, relocations and the index; of other bytes every 97th."""
    found = ar.parse(Content.of(data))
    places = [*range(400), *range(0, len(data), 97)]
    for member in found.members:
        elf = parse(found.data(member))
        places += range(member.header_offset, member.offset + 64)
        places += range(member.offset + elf.header.shoff, member.offset + member.size)
        for section in elf.sections:
            if section.type in {2, 4, 17} and not section.name.startswith(".rela.debug"):
                places += range(member.offset + section.offset, member.offset + section.offset + section.size)
    return places


EDITS = st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8)), min_size=1, max_size=3)


def _mutated(data: bytes, edits: list[tuple[int, bytes]]) -> bytes:
    places = _places(data)
    result = bytearray(data)
    for place, patch in edits:
        start = places[place % len(places)]
        result[start : start + len(patch)] = patch[: len(result) - start]
    return bytes(result)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_mutated_archives_never_end_a_run(mutable: bytes, strip: Strip, edits: list[tuple[int, bytes]]) -> None:
    """Whatever is written over an archive, the answer is a proved archive or an ElfError; never another exception."""
    content = Content.of(_mutated(mutable, edits))

    try:
        slimmed = slim_archive(content, None, strip)
    except ElfError as error:
        assert str(error)
        return
    assert slimmed.size < content.size


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_the_proof_of_a_mutated_result_is_an_answer(
    mutable: bytes, strip: Strip, edits: list[tuple[int, bytes]]
) -> None:
    """Whatever a strip program might write, the proof gives sentences or none and raises nothing."""
    content = Content.of(mutable)
    slimmed = strip.run(content, FLAGS, 60)
    damaged = _mutated(slimmed.read_at(0, slimmed.size), edits)

    assert all(archive_violations(content, Content.of(damaged)))
