from __future__ import annotations

import errno
import os
import re
import resource
import struct
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from slimmer.blobs import Bytes
from slimmer.content import Content
from slimmer.elf.debugfile import build_id, debug_file, debug_path, save
from slimmer.elf.layout import without_dead_ranges
from slimmer.elf.object import SHT_NOBITS, SHT_NULL, parse
from slimmer.elf.removable import removable
from slimmer.errors import DestinationError, ElfError
from slimmer.pieces import Piece

import handmade
from loading import patchelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[[Path], Content]
    Compile = Callable[..., Path]

VARIANTS = [
    pytest.param(("-g",), 0, id="debug"),
    pytest.param((), 0, id="symbols only"),
    pytest.param(("-g", "-gz=zlib"), 0, id="zlib"),
    pytest.param(("-g", "-Wl,--compress-debug-sections=zstd"), 0, id="zstd"),
    pytest.param(("-g", "-gsplit-dwarf"), 0, id="split debug"),
    pytest.param(("-g", "-ffunction-sections", "-fdata-sections"), 0, id="split sections"),
    pytest.param(("-g3", "-Wl,-z,max-page-size=0x200000"), 0, id="pages of 2 MiB"),
    pytest.param(("-g", "-fuse-ld=gold"), 0, id="gold"),
    pytest.param(("-g",), 1, id="patchelf-ed"),
    pytest.param(("-g",), 3, id="patchelf-ed three times"),
]
MAIN = "int crash(int); int main(void) { return crash(7); }"
CALL = re.compile(
    r"read_hidden \(place=0x[0-9a-f]+, factor=42, word=0x[0-9a-f]+ \"slimmer\"\) at \S*crash\.c:10$", re.MULTILINE
)
BUILD_ID = bytes(range(0xA0, 0xB4))


def build(compiled: Compile, flags: tuple[str, ...], edits: int) -> Path:
    """Give the crashing library, with a build ID, edited as auditwheel would."""
    library = compiled("crash", "-O0", "-Wl,--build-id", *flags)
    for edit in range(edits):
        path = "$ORIGIN/" + "r" * 99 * (edit + 1)
        subprocess.run([patchelf(), "--set-soname", "libcrash.so", "--add-rpath", path, library], check=True)
    return library


def sections(path: Path) -> dict[str, tuple[str, int, int]]:
    """Give type, address and size of each section, as readelf prints them; it must have nothing to say on stderr."""
    done = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    rows = [line.partition("]")[2].split() for line in done.stdout.splitlines() if re.match(r"\s+\[ *[1-9]", line)]
    return {row[0]: (row[1], int(row[2], 16), int(row[4], 16)) for row in rows}


def gdb(*arguments: str | Path) -> str:
    """Run gdb without the user's settings and without a debug information server; give what it says."""
    done = subprocess.run(
        ["gdb", "-nx", "-batch", *(argument for argument in arguments)],
        env={**os.environ, "DEBUGINFOD_URLS": "", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def complaints(path: Path) -> list[str]:
    """Give what elfutils finds wrong with a debug file, less what patchelf left in the object that it was made of."""
    done = subprocess.run(["eu-elflint", "--gnu-ld", "--debuginfo", path], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if line != "No errors" and "_DYNAMIC" not in line]


@pytest.mark.parametrize(("flags", "edits"), VARIANTS)
def test_it_is_what_objcopy_makes(
    flags: tuple[str, ...], edits: int, compiled: Compile, opened: Open, tmp_path: Path
) -> None:
    """The same sections of the same types, addresses and sizes as `objcopy --only-keep-debug` writes; elfutils is content."""
    library = build(compiled, flags, edits)
    expected = tmp_path / "objcopy.debug"
    subprocess.run(["objcopy", "--only-keep-debug", library, expected], check=True)

    path = handmade.save(debug_file(parse(opened(library))), tmp_path / "slimmer.debug")

    mine, objcopys = sections(path), sections(expected)
    for names in (".shstrtab", ".strtab"):  # objcopy packs names anew
        assert mine.pop(names)[:2] == objcopys.pop(names)[:2]
    assert mine == objcopys
    assert complaints(path) == []


@pytest.mark.parametrize(("flags", "edits"), VARIANTS)
def test_nothing_shifts(flags: tuple[str, ...], edits: int, compiled: Compile, opened: Open) -> None:
    """Every section keeps its index and every segment its addresses; what slimming removes is in it byte for byte."""
    before = parse(opened(build(compiled, flags, edits)))

    after = parse(debug_file(before))

    for was, now in zip(before.sections, after.sections, strict=True):
        kept = now.type == was.type
        assert kept or (now.type == SHT_NOBITS and was.is_allocated)
        assert (was.name, was.flags, was.addr, was.size, was.link, was.info, was.addralign) == (
            now.name, now.flags, now.addr, now.size, now.link, now.info, now.addralign,
        )  # fmt: skip
        if kept and was.type != SHT_NULL:
            data = before.content.slice(was.offset, was.offset + was.file_size)
            assert not data.differs(after.content.slice(now.offset, now.offset + now.file_size))
    for index in removable(before):
        assert after.sections[index].type != SHT_NOBITS
    for old, new in zip(before.segments, after.segments, strict=True):
        assert (old.type, old.flags, old.vaddr, old.memsz, old.align) == (
            new.type, new.flags, new.vaddr, new.memsz, new.align,
        )  # fmt: skip
        assert new.filesz <= old.filesz
    assert build_id(after) == build_id(before)


@pytest.mark.parametrize(
    ("flags", "edits"),
    [variant for variant in VARIANTS if variant.id != "symbols only"],
)
def test_a_debugger_finds_what_was_slimmed(
    flags: tuple[str, ...], edits: int, compiled: Compile, opened: Open, tmp_path: Path
) -> None:
    """A crash in a slimmed library: with the debug files gdb names static function, line and arguments, without only `??`."""
    library = build(compiled, flags, edits)
    program = tmp_path / "program"
    subprocess.run(
        ["gcc", "-x", "c", "-", "-x", "none", "-o", program, library, f"-Wl,-rpath,{tmp_path}"],
        input=MAIN,
        text=True,
        check=True,
    )
    elf = parse(opened(library))
    slimmed = without_dead_ranges(elf)
    assert slimmed is not None
    identity = build_id(elf)
    assert identity is not None
    save(debug_file(elf), tmp_path / "debug", identity)
    handmade.save(slimmed, tmp_path / "slimmed.so").replace(library)
    # gdb writes the core: the kernel might pipe its own to somebody else.
    said = gdb("-ex", "run", "-ex", f"generate-core-file {tmp_path / 'core'}", program)
    assert "SIGSEGV" in said, said

    with_files = gdb("-iex", f"set debug-file-directory {tmp_path / 'debug'}", "-ex", "bt", program, tmp_path / "core")
    without = gdb("-iex", f"set debug-file-directory {tmp_path / 'none'}", "-ex", "bt", program, tmp_path / "core")

    assert CALL.search(with_files), with_files
    assert "does not match" not in with_files
    assert "read_hidden" not in without
    assert re.search(r"#0 .* in \?\? \(\)", without), without


def test_symbols_without_debug_information_name_static_functions(
    compiled: Compile, opened: Open, tmp_path: Path
) -> None:
    """A library that only has symbols, as most in wheels: its debug file gives them back."""
    library = build(compiled, (), 0)
    address = address_of(library, "read_hidden")

    with_file, without = look_up(opened(library), address, tmp_path)

    assert "read_hidden" in with_file
    assert "No symbol matches" in without


@pytest.mark.parametrize("member", ["numpy.libs/libscipy_openblas64_", "numpy/_core/_multiarray_umath"])
def test_a_library_of_a_wheel(member: str, numpy: Path, opened: Open, tmp_path: Path) -> None:
    """numpy's libraries, edited by auditwheel: gdb and elfutils find a static function of a slimmed one again."""
    (library,) = numpy.glob(f"{member}*.so")
    name, address = a_static_function(library)

    with_file, without = look_up(opened(library), address, tmp_path)

    assert f"{name} in section .text" in with_file
    assert name not in without
    # elfutils puts the two together again to what eu-nm then reads.
    whole = tmp_path / "whole.so"
    (debug,) = (tmp_path / "debug").rglob("*.debug")
    subprocess.run(["eu-unstrip", "-o", whole, tmp_path / "slimmed.so", debug], check=True)
    assert address_of(whole, name) == address


def a_static_function(library: Path) -> tuple[str, int]:
    """Give the name and address of a function that only .symtab knows, and under one name."""
    done = subprocess.run(["nm", "--size-sort", library], check=True, capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    addresses = symbols(library)
    name = next(
        row[2] for row in reversed(rows) if row[1] == "t" and list(addresses.values()).count(addresses[row[2]]) == 1
    )
    return name, addresses[name]


def symbols(library: Path) -> dict[str, int]:
    """Give the address of each symbol of .symtab."""
    done = subprocess.run(["nm", "--defined-only", library], check=True, capture_output=True, text=True)
    return {row[2]: int(row[0], 16) for row in map(str.split, done.stdout.splitlines()) if len(row) == 3}


def address_of(library: Path, name: str) -> int:
    """Give the address of a symbol of .symtab."""
    return symbols(library)[name]


def look_up(content: Content, address: int, directory: Path) -> tuple[str, str]:
    """Slim a library and give what gdb knows of an address in it, with its debug file and without."""
    elf = parse(content)
    slimmed = without_dead_ranges(elf)
    identity = build_id(elf)
    assert slimmed is not None
    assert identity is not None
    path = handmade.save(slimmed, directory / "slimmed.so")
    save(debug_file(elf), directory / "debug", identity)

    def ask(files: Path) -> str:
        return gdb(
            "-ex", f"set debug-file-directory {files}", "-ex", f"file {path}", "-ex", f"info symbol {address:#x}"
        )

    return ask(directory / "debug"), ask(directory / "none")


@pytest.fixture(scope="session")
def numpy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give numpy's wheel unpacked; it comes from the package index or from pip's cache."""
    directory = tmp_path_factory.mktemp("numpy")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary=:all:", "--python-version=3.11", "--platform=manylinux2014_x86_64", "--dest", directory,
         "numpy==2.2.6"],
        check=True,
    )  # fmt: skip
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory / "numpy")
    return directory / "numpy"


def note(kind: int, name: bytes, description: bytes, *, order: str = "<", align: int = 4) -> bytes:
    """Give a note as a PT_NOTE segment holds it."""
    start = struct.pack(order + "III", len(name), len(description), kind) + name
    start += bytes(-len(start) % align)
    return start + description + bytes(-len(description) % align)


def noted(notes: bytes, *, bits: int = 64, order: str = "<", align: int = 4, filesz: int | None = None) -> Content:
    """Give an object without sections whose only segment holds NOTES."""
    size = len(notes) if filesz is None else filesz
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    if bits == 64:
        head = ident + struct.pack(order + "HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
        head += struct.pack(order + "IIQQQQQQ", 4, 4, 120, 120, 120, size, size, align)
    else:
        head = ident + struct.pack(order + "HHIIIIIHHHHHH", 3, 3, 1, 0, 52, 0, 0, 52, 32, 1, 40, 0, 0)
        head += struct.pack(order + "IIIIIIII", 4, 84, 84, 84, size, size, 4, align)
    return Content.of(head + notes)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("align", [0, 4, 8])
def test_the_build_id_is_found_behind_other_notes(bits: int, order: str, align: int) -> None:
    """In both classes, both byte orders and both alignments of notes, without any section."""
    step = 8 if align == 8 else 4
    notes = note(5, b"GNU\0", b"property", order=order, align=step) + note(3, b"Xen\0", b"x", order=order, align=step)
    notes += note(3, b"GNU\0", BUILD_ID, order=order, align=step)

    elf = parse(noted(notes, bits=bits, order=order, align=align))

    assert build_id(elf) == BUILD_ID.hex()
    assert parse(debug_file(elf)).header.type == 3


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(noted(b""), id="no note"),
        pytest.param(noted(note(1, b"GNU\0", bytes(16))), id="only another note"),
        pytest.param(noted(note(3, b"GNU\0", b"x")), id="one byte"),
        pytest.param(noted(note(3, b"GNU\0", bytes(65))), id="longer than any"),
        pytest.param(noted(note(3, b"GNU\0", BUILD_ID)[:-8]), id="description beyond the segment"),
        pytest.param(noted(struct.pack("<III", 1 << 31, 20, 3) + b"GNU\0"), id="name beyond the file"),
        pytest.param(noted(struct.pack("<III", 4, 0xFFFFFFFF, 3) + b"GNU\0"), id="description beyond the file"),
        pytest.param(noted(b"\4\0\0\0"), id="half a note"),
        pytest.param(noted(note(0, b"", b"") * 100_000 + note(3, b"GNU\0", BUILD_ID)), id="endless notes"),
    ],
)
def test_a_damaged_or_missing_build_id_is_none(content: Content) -> None:
    """Nothing is read outside the segment, nothing is searched for ever, and no name is made of what is no build ID."""
    assert build_id(parse(content)) is None


def test_a_library_without_build_id_has_none(compiled: Compile, opened: Open) -> None:
    """A library that the linker gave no build ID has none, and its debug file can still be made."""
    elf = parse(opened(compiled("crash", "-g", "-Wl,--build-id=none")))

    assert build_id(elf) is None
    assert parse(debug_file(elf)).section_named(".debug_info") is not None


def test_sections_that_overlap_are_refused(compiled: Compile, opened: Open) -> None:
    """Headers that claim the same bytes again and again would make a debug file larger than the disk."""
    elf = parse(opened(compiled("crash", "-g")))
    data = bytearray(elf.content.read_at(0, elf.content.size))
    for section in elf.sections:
        if section.name.startswith(".debug_"):
            where = elf.header.shoff + section.index * elf.header.shentsize + 24
            struct.pack_into("<QQ", data, where, 0, len(data))

    with pytest.raises(ElfError, match="overlap"):
        debug_file(parse(Content.of(bytes(data))))


def test_nothing_is_copied(compiled: Compile, opened: Open) -> None:
    """What the debug file holds in memory is headers only, however large the debug information."""
    elf = parse(opened(compiled("answer", "-g3")))
    content = debug_file(elf)

    held = sum(piece.length for piece in content.pieces if isinstance(piece.blob, Bytes))
    headers = 64 + 56 * len(elf.segments) + 64 * len(elf.sections)

    assert held == headers
    assert content.size > 4 * held


def test_the_path_is_where_debuggers_look() -> None:
    """The first byte names the directory, the others the file."""
    assert debug_path("abcdef0123") == ".build-id/ab/cdef0123.debug"


def test_a_file_is_saved_and_left_alone_the_second_time(tmp_path: Path) -> None:
    """Directories are made; a file that is there already is not written again; another content replaces it."""
    directory = tmp_path / "debug" / "files"
    path = save(Content.of(b"one"), directory, "abcdef")
    inode = path.stat().st_ino

    assert path == directory / ".build-id" / "ab" / "cdef.debug"
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    assert save(Content.of(b"one"), directory, "abcdef").stat().st_ino == inode
    assert save(Content.of(b"two"), directory, "abcdef").read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def umask() -> int:
    """Give the process's umask, which can only be read by setting it."""
    now = os.umask(0o022)
    os.umask(now)
    return now


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """One sentence says which file and why."""
    (tmp_path / "debug").write_text("in the way")

    with pytest.raises(
        DestinationError, match=rf"^{tmp_path}/debug/\.build-id/ab/cd\.debug cannot be written: Not a directory$"
    ):
        save(Content.of(b"one"), tmp_path / "debug", "abcd")


def test_a_full_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """A write that fails halfway leaves neither the file nor its beginning; an older file stays whole."""
    path = save(Content.of(b"old"), tmp_path, "abcd")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(DestinationError, match=os.strerror(errno.EFBIG)):
            save(Content.of(b"x" * (3 << 20)), tmp_path, "abcd")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"old"


class Ending:
    """A blob whose bytes end with an error once SOME were read."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def read_at(self, offset: int, length: int) -> bytes:
        """Give the first MiB, then raise."""
        if offset:
            raise self._error
        return bytes(length)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EOFError("the file ends"), OSError(errno.EIO, "source")])
def test_whatever_interrupts_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    """Ctrl-C and a source that cannot be read come through as they are, without a temporary file behind them."""
    with pytest.raises(type(error)) as raised:
        save(Content([Piece(Ending(error), 0, 3 << 20)]), tmp_path, "abcd")

    assert raised.value is error
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
