"""Every architecture that Debian has a cross compiler for and images are made of: what is slimmed there works there."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slimmer.elf.contract import violations
from slimmer.elf.debugfile import build_id, debug_file
from slimmer.elf.filler import filler
from slimmer.elf.layout import without_dead_ranges
from slimmer.elf.object import PT_LOAD, Object, parse
from slimmer.elf.shared import laid_out

from filled import edited, source_with_many_symbols
from handmade import save
from loading import patchelf

if TYPE_CHECKING:
    from collections.abc import Callable

    from slimmer.content import Content

    Open = Callable[[Path], Content]

SOURCE = Path(__file__).parents[2] / "fixtures" / "elf" / "answer.c"
MAIN = "int answer(void); int count(void); int main(void) { return answer() + count() - 1; }"


@dataclass(frozen=True, slots=True)
class Architecture:
    """An architecture as Debian's cross compilers and qemu name it, and what its objects must say."""

    triplet: str
    qemu: str
    machine: int
    bits: int
    little: bool
    page: int
    """What its linker aligns PT_LOADs by at least."""


ARCHITECTURES = [
    Architecture("x86_64-linux-gnu", "x86_64", 62, 64, little=True, page=0x1000),
    Architecture("i686-linux-gnu", "i386", 3, 32, little=True, page=0x1000),
    Architecture("aarch64-linux-gnu", "aarch64", 183, 64, little=True, page=0x10000),
    Architecture("arm-linux-gnueabihf", "arm", 40, 32, little=True, page=0x1000),
    Architecture("powerpc64le-linux-gnu", "ppc64le", 21, 64, little=True, page=0x10000),
    Architecture("s390x-linux-gnu", "s390x", 22, 64, little=False, page=0x1000),
    Architecture("riscv64-linux-gnu", "riscv64", 243, 64, little=True, page=0x1000),
]
VARIANTS = [
    pytest.param(("-g3",), id="debug"),
    pytest.param(("-g3", "-gz=zlib", "-Wl,-z,noseparate-code"), id="compressed"),
    pytest.param(("-Wl,-z,max-page-size=0x200000", "-Wl,--hash-style=both"), id="pages of 2 MiB"),
]

each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.qemu)
each_variant = pytest.mark.parametrize("flags", VARIANTS)


def tool(architecture: Architecture, name: str) -> str:
    """Give a program of the architecture's own toolchain; a test fails without it, for a skipped proof is no proof."""
    found = shutil.which(f"{architecture.triplet}-{name}")
    assert found is not None, f"{architecture.triplet}-{name} is not installed; tests/run.sh installs it"
    return found


def compile_for(architecture: Architecture, flags: tuple[str, ...], directory: Path) -> Path:
    """Give the fixture library compiled for an architecture."""
    library = directory / "libanswer.so"
    library.write_bytes(_compiled(architecture, flags))
    return library


@cache
def _compiled(architecture: Architecture, flags: tuple[str, ...], *, many: bool = False) -> bytes:
    source = SOURCE.read_text().replace(
        "@progbits", "%progbits"
    )  # the same to every assembler; "@" is a comment to ARM's
    with tempfile.NamedTemporaryFile(suffix=".so") as library:
        subprocess.run(
            [
                tool(architecture, "gcc"),
                "-shared",
                "-fPIC",
                "-O1",
                "-Wl,--build-id",
                *flags,
                "-o",
                library.name,
                "-x",
                "c",
                "-",
            ],
            input=(source_with_many_symbols(source, 4000) if many else source).encode(),
            check=True,
            capture_output=True,
        )
        return Path(library.name).read_bytes()


def slim(before: Object) -> Content:
    """Give the slimmed object, which must be proved and smaller."""
    slimmed = without_dead_ranges(before)
    assert slimmed is not None
    assert violations(before.content, slimmed) == []
    assert slimmed.size < before.content.size
    return slimmed


def section_names(path: Path) -> list[str]:
    """Give the names of an object's sections in order, as readelf prints them; it must have nothing to complain about."""
    done = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    rows = (line.partition("]")[2].split() for line in done.stdout.splitlines() if "] " in line)
    return [row[0] for row in rows if row[0] not in {"NULL", "Name"}]


def run(architecture: Architecture, program: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the architecture on the C library of its cross compiler, mapped in pages of its size."""
    qemu = shutil.which(f"qemu-{architecture.qemu}-static")
    assert qemu is not None, "qemu-user-static is not installed; tests/run.sh installs it"
    libraries = Path("/usr", architecture.triplet)
    root = libraries if (libraries / "lib").is_dir() else "/"  # the machine's own are not there
    return subprocess.run(
        [qemu, "-p", str(architecture.page), "-L", root, program], capture_output=True, text=True, check=False
    )


def link_against(architecture: Architecture, library: Path) -> Path:
    """Give a program that loads the library from where it lies and exits with its answer."""
    program = library.with_name("program")
    flags = (f"-L{library.parent}", "-lanswer", f"-Wl,-rpath,{library.parent}")
    subprocess.run(
        [tool(architecture, "gcc"), "-o", program, "-x", "c", "-", *flags],
        input=MAIN,
        text=True,
        check=True,
    )
    return program


@each_architecture
@each_variant
def test_it_runs(architecture: Architecture, flags: tuple[str, ...], opened: Open, tmp_path: Path) -> None:
    """A program of the architecture computes the same with the slimmed library as with the original."""
    library = compile_for(architecture, flags, tmp_path)
    program = link_against(architecture, library)
    before = run(architecture, program)
    assert before.returncode == 42, before.stderr

    save(slim(parse(opened(library))), tmp_path / "slimmed.so").replace(library)

    after = run(architecture, program)
    assert after.returncode == 42, after.stderr
    assert after.stderr == before.stderr


def test_the_emulated_pages_are_real(tmp_path: Path) -> None:
    """A library linked for pages of 4 KiB does not load in the pages of 64 KiB that the others run in: qemu would tell."""
    (aarch64,) = (each for each in ARCHITECTURES if each.qemu == "aarch64")
    library = compile_for(aarch64, ("-Wl,-z,max-page-size=0x1000",), tmp_path)

    done = run(aarch64, link_against(aarch64, library))

    assert done.returncode == 127
    assert "error while loading shared libraries" in done.stderr


@each_architecture
@each_variant
def test_the_same_sections_go_as_with_its_own_strip(
    architecture: Architecture, flags: tuple[str, ...], opened: Open, tmp_path: Path
) -> None:
    """What the architecture's own `strip --strip-unneeded` leaves, slimmer leaves, in the same order."""
    library = compile_for(architecture, flags, tmp_path)
    stripped = tmp_path / "stripped.so"
    subprocess.run([tool(architecture, "strip"), "--strip-unneeded", "-o", stripped, library], check=True)

    slimmed = save(slim(parse(opened(library))), tmp_path / "slimmed.so")

    assert section_names(slimmed) == section_names(stripped)


@each_architecture
@each_variant
def test_pages_stay_congruent(architecture: Architecture, flags: tuple[str, ...], opened: Open, tmp_path: Path) -> None:
    """On pages as large as the original was linked for, 64 KiB on aarch64 and ppc64le, each PT_LOAD can still be mapped where it belongs."""
    before = parse(opened(compile_for(architecture, flags, tmp_path)))
    assert (before.header.machine, before.form.bits, before.form.little) == (
        architecture.machine, architecture.bits, architecture.little,
    )  # fmt: skip

    after = parse(slim(before))

    loads = [segment for segment in after.segments if segment.type == PT_LOAD]
    assert len(loads) >= 2
    for segment in loads:
        assert segment.align >= architecture.page
        assert segment.offset % segment.align == segment.vaddr % segment.align


@each_architecture
@each_variant
def test_a_second_time_changes_nothing(
    architecture: Architecture, flags: tuple[str, ...], opened: Open, tmp_path: Path
) -> None:
    """What is slimmed has nothing to spare."""
    slimmed = slim(parse(opened(compile_for(architecture, flags, tmp_path))))

    assert without_dead_ranges(parse(slimmed)) is None


@each_architecture
def test_filler_of_patchelf_goes(architecture: Architecture, opened: Open, tmp_path: Path) -> None:
    """On the largest pages of the architecture too, with addends in tables or in place: it goes, and the program computes the same."""
    library = tmp_path / "libanswer.so"
    library.write_bytes(_compiled(architecture, ("-s",), many=True))
    edited(library, 3)
    subprocess.run([patchelf(), "--set-soname", "libanswer.so", library], check=True)
    program = link_against(architecture, library)
    before = parse(opened(library))
    assert filler(before)

    slimmed = laid_out(before)

    after = parse(slimmed)
    assert before.content.size - slimmed.size >= architecture.page
    assert sum(each.filesz for each in after.segments) < sum(each.filesz for each in before.segments)
    assert [each.memsz for each in after.segments] == [each.memsz for each in before.segments]
    for segment in after.segments:
        if segment.type == PT_LOAD:
            assert segment.offset % segment.align == segment.vaddr % segment.align
    assert without_dead_ranges(after) is None
    save(slimmed, tmp_path / "slimmed.so").replace(library)
    done = run(architecture, program)
    assert (done.returncode, done.stderr) == (42, "")


@each_architecture
@pytest.mark.parametrize("flags", VARIANTS[:2])
def test_its_debug_file_is_what_its_objcopy_makes(
    architecture: Architecture, flags: tuple[str, ...], opened: Open, tmp_path: Path
) -> None:
    """Both classes, both byte orders: the same sections, the same build ID, and its static function is found at its place."""
    library = compile_for(architecture, flags, tmp_path)
    theirs = tmp_path / "objcopy.debug"
    subprocess.run([tool(architecture, "objcopy"), "--only-keep-debug", library, theirs], check=True)
    elf = parse(opened(library))

    mine = save(debug_file(elf), tmp_path / "slimmer.debug")

    assert section_names(mine) == section_names(theirs)
    assert build_id(parse(opened(mine))) == build_id(elf) is not None
    (row,) = (row for row in symbols(architecture, library) if row.endswith(" t hidden_product"))
    assert symbols(architecture, mine) == symbols(architecture, theirs)
    found = subprocess.run(
        [tool(architecture, "addr2line"), "-f", "-e", mine, row.split()[0]], check=True, capture_output=True, text=True
    )
    assert found.stdout.splitlines()[0] == "hidden_product"


def symbols(architecture: Architecture, path: Path) -> list[str]:
    """Give address, letter and name of each symbol that is defined, as the architecture's own nm prints them."""
    done = subprocess.run(
        [tool(architecture, "nm"), "--defined-only", path], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()
