from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from slimmer.elf.gpu.choice import Wanted
from slimmer.elf.gpu.compaction import areas, chosen
from slimmer.elf.gpu.fatbin import CUBIN, PTX
from slimmer.elf.gpu_contract import violations
from slimmer.elf.object import PT_LOAD, parse
from slimmer.elf.pruned import prune
from slimmer.elf.shared import slim_shared_object
from slimmer.errors import ElfError

from fatbins import CODES, container, cubins, digests, entry, extracted, linked, listed, loaded_containers, nvcc
from handmade import save
from loading import call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slimmer.content import Content

    Open = Callable[[Path], Content]

ARCHS = ("70", "75", "80", "86", "90", "100", "120")
H100 = Wanted(frozenset({90}))


def pruned(content: Content, wanted: Wanted = H100) -> Content:
    """Give a library with less GPU code, which must be proved."""
    made = prune(parse(content), wanted, "amd64")
    assert made is not None
    return made[0]


LINKS = [
    pytest.param((), id="as gcc links"),
    pytest.param(("-Wl,-z,max-page-size=0x200000",), id="pages of 2 MiB"),
    pytest.param(("-Wl,-z,noseparate-code",), id="code and data in one page"),
    pytest.param(("-fuse-ld=gold",), id="gold"),
    pytest.param(("-Wl,-z,pack-relative-relocs",), id="relative relocations packed"),
    pytest.param(("-g3",), id="debug"),
]


@pytest.mark.parametrize("flags", LINKS)
def test_every_record_leads_to_what_stayed(flags: tuple[str, ...], opened: Open, tmp_path: Path) -> None:
    """In a process that loaded it, each record points at its own container, which holds the one architecture."""
    size = (1 << 20) if "page-size" in "".join(flags) else 4096
    held = [cubins(*ARCHS, size=size + 8 * index) for index in range(5)]
    library = linked(tmp_path, held, *flags)
    made = save(pruned(opened(library)), tmp_path / "pruned.so")

    assert loaded_containers(library, 5) == digests(held)
    assert loaded_containers(made, 5) == digests([cubins("90", size=size + 8 * index) for index in range(5)])
    assert call(made, "answer") == 42
    assert made.stat().st_size < library.stat().st_size - 6 * size * 4


@pytest.mark.parametrize("flags", LINKS)
def test_strip_and_prune_are_one_write(flags: tuple[str, ...], opened: Open, tmp_path: Path) -> None:
    """What strip removes goes as well, of the pruned library before a byte of it was written, and it still loads."""
    size = (1 << 20) if "page-size" in "".join(flags) else 8192
    held = [cubins(*ARCHS, size=size)]
    both = slim_shared_object(pruned(opened(linked(tmp_path, held, *flags, "-g3"))), "amd64", None)
    assert both is not None
    made = save(both[0], tmp_path / "both.so")

    assert loaded_containers(made, 1) == digests([cubins("90", size=size)])
    assert parse(opened(made)).section_named(".symtab") is None


def test_a_second_time_changes_nothing(opened: Open, tmp_path: Path) -> None:
    """What was pruned has nothing more to give for the same GPUs."""
    made = save(pruned(opened(linked(tmp_path, [cubins(*ARCHS, size=8192)] * 2))), tmp_path / "pruned.so")

    assert prune(parse(opened(made)), H100, "amd64") is None


def test_less_each_time(opened: Open, tmp_path: Path) -> None:
    """A library that was pruned for three GPUs is pruned for one of them as if it had been for that one only."""
    held = [cubins(*ARCHS, size=16384)] * 3
    library = linked(tmp_path, held)
    first = save(pruned(opened(library), Wanted(frozenset({80, 90, 120}))), tmp_path / "first.so")
    second = save(pruned(opened(first)), tmp_path / "second.so")

    assert loaded_containers(first, 3) == digests([cubins("80", "90", "120", size=16384)] * 3)
    assert loaded_containers(second, 3) == digests([cubins("90", size=16384)] * 3)
    assert second.stat().st_size <= pruned(opened(library)).size + 2 * 4096


def test_the_hole_is_not_mapped(opened: Open, tmp_path: Path) -> None:
    """The program headers stand in a loaded segment, and one segment more leaves out what is gone."""
    before = parse(opened(linked(tmp_path, [cubins(*ARCHS, size=16384)])))
    after = parse(pruned(before.content))
    loads = [[each for each in elf.segments if each.type == PT_LOAD] for elf in (before, after)]
    header = after.header

    assert len(loads[1]) == len(loads[0]) + 1
    assert sum(each.memsz for each in loads[0]) - sum(each.memsz for each in loads[1]) >= 6 * 16384 - 4096
    assert any(
        each.offset <= header.phoff and header.phoff + header.phnum * header.phentsize <= each.offset + each.filesz
        for each in loads[1]
    )


def test_what_has_no_pointer_stays_where_it_is(opened: Open, tmp_path: Path) -> None:
    """The first container of some NVIDIA libraries has no record: it keeps its place and all of its code."""
    held = [cubins(*ARCHS, size=64), cubins(*ARCHS, size=8192)]
    before = parse(opened(linked(tmp_path, held, unreferenced=1)))
    (area,) = areas(parse(pruned(before.content)))

    assert [len(each.entries) for each in area.containers] == [7, 1]
    assert area.section.addr == areas(before)[0].section.addr


def test_parts_go_where_the_linked_code_serves(opened: Open, tmp_path: Path) -> None:
    """Relocatable code stays for GPUs that the linked code does not serve, and its newest PTX for newer ones."""
    part = container(*(entry(CUBIN, arch, 8192) for arch in ARCHS), entry(PTX, "90", 512))
    held, parts = [cubins("80", "90", size=8192)], [part, part]
    library = linked(tmp_path, held, parts=parts)
    made = save(pruned(opened(library)), tmp_path / "pruned.so")
    other = save(pruned(opened(library), Wanted(frozenset({90, 120}))), tmp_path / "other.so")

    assert loaded_containers(made, 3) == digests([cubins("90", size=8192), *[container(entry(PTX, "90", 512))] * 2])
    both = container(entry(CUBIN, "120", 8192), entry(PTX, "90", 512))
    assert loaded_containers(other, 3) == digests([cubins("90", size=8192), both, both])


@pytest.mark.parametrize("flags", [(), ("-Wl,-z,max-page-size=0x1000",), ("-Wl,-z,pack-relative-relocs",)])
def test_on_arm(flags: tuple[str, ...], opened: Open, tmp_path: Path) -> None:
    """Servers with Grace have pages of 64 KiB, which a hole keeps to."""
    held = [cubins(*ARCHS, size=1 << 16), cubins("80", "90", size=1 << 16)]
    library = linked(tmp_path, held, *flags, compiler="aarch64-linux-gnu-gcc")
    made = prune(parse(opened(library)), H100, "arm64")
    assert made is not None
    (tmp_path / "pruned").mkdir()
    (area,) = areas(parse(made[0]))
    page = 0x1000 if "0x1000" in "".join(flags) else 0x10000

    assert [made[0].read_at(each.start, each.size) for each in area.containers] == [cubins("90", size=1 << 16)] * 2
    loads = [each for each in parse(made[0]).segments if each.type == PT_LOAD]
    assert all((each.vaddr - each.offset) % page == 0 for each in loads)
    assert library.stat().st_size - made[0].size >= 6 * (1 << 16)
    assert prune(parse(made[0]), H100, "arm64") is None
    assert _run_on_arm(save(made[0], tmp_path / "pruned" / "libgpu.so"), tmp_path, page) == 42


def _run_on_arm(library: Path, directory: Path, page: int) -> int:
    """Run a program that needs a library in pages of this size, and give what `answer` gave."""
    qemu = shutil.which("qemu-aarch64-static")
    assert qemu is not None, "qemu-user-static is not installed; tests/run.sh installs it"
    (directory / "main.c").write_text("int answer(void); int main(void) { return answer(); }")
    program = directory / "main"
    command: list[str | Path] = ["aarch64-linux-gnu-gcc", "-Wl,-z,now", "-o", program, directory / "main.c", library]
    subprocess.run(command, check=True, capture_output=True)
    return subprocess.run([qemu, "-p", str(page), "-L", "/usr/aarch64-linux-gnu", program], check=False).returncode


MIDDLE = '.section .data,"aw"\n.quad container0 + 16'


@pytest.mark.parametrize(
    ("held", "more", "unreferenced", "reason"),
    [
        pytest.param([cubins(*ARCHS)], MIDDLE, 0, "and is no record", id="a pointer into a container"),
        pytest.param(
            [cubins(*ARCHS)], '.section .data,"aw"\n.quad container0', 0, "and is no record", id="a second pointer"
        ),
        pytest.param(
            [cubins(*ARCHS)],
            ".long 0x466243b1, 1\n.quad container0 + 16, 0",
            0,
            "start of a container",
            id="a record into the middle",
        ),
        pytest.param([cubins(*ARCHS)], ".long 0x466243b1, 1\n.quad container0, 0", 0, "two records", id="two records"),
        pytest.param(
            [cubins(*ARCHS)], ".long 0x466243b2, 1\n.quad container0, 0", 0, "unknown kind", id="an unknown record"
        ),
        pytest.param(
            [cubins(*ARCHS)], ".long 0x466243b1, 1\n.quad 0, 0", 0, "no relocation", id="a record without a relocation"
        ),
        pytest.param([cubins(*ARCHS)], ".quad 0", 0, "no table of records", id="half a record"),
        pytest.param(
            [cubins(*ARCHS)],
            ".globl inside\ninside = container0 + 8\n.size inside, 8",
            0,
            "dynamic symbol",
            id="a symbol",
        ),
        pytest.param([cubins(*ARCHS), b"12345678" * 9], "", 0, "no container", id="bytes that are no container"),
        pytest.param([cubins(*ARCHS) + bytes(8)], "", 0, "no container", id="bytes behind a container"),
        pytest.param([cubins(*ARCHS)[:-8]], "", 0, "does not end in its section", id="a container that is cut short"),
        pytest.param([container(entry(CUBIN, "70"), bytes(40))], "", 0, "do not fill it", id="half an entry"),
        pytest.param(
            [cubins(*ARCHS)],
            ".section .nv_fatbin\n.quad first_record",
            0,
            "writes into GPU code",
            id="a relocation in GPU code",
        ),
        pytest.param(
            [cubins(*ARCHS)], ".text\nlea container0(%rip), %rdx", 0, "code addresses", id="code that addresses it"
        ),
        pytest.param([cubins(*ARCHS)] * 3, "", 3, "no .nvFatBinSegment", id="no record at all"),
    ],
)
def test_what_is_not_understood_stays(
    held: list[bytes], more: str, unreferenced: int, reason: str, opened: Open, tmp_path: Path
) -> None:
    """Nothing is changed, and one sentence says why."""
    flags = ("-Wl,-z,notext", "-w") if "first_record" in more else ()
    elf = parse(opened(linked(tmp_path, held, *flags, more=more, unreferenced=unreferenced)))

    with pytest.raises(ElfError, match=reason):
        prune(elf, H100, "amd64")


def test_little_is_not_worth_it(opened: Open, tmp_path: Path) -> None:
    """Where less than a page would go the library stays as it is."""
    with pytest.raises(ElfError, match="less than"):
        prune(parse(opened(linked(tmp_path, [cubins("80", "90", size=256)]))), H100, "amd64")


@pytest.mark.parametrize(
    ("sources", "flags", "answer"),
    [
        pytest.param(("kernels.cu",), ("-Xfatbin", "-compress-all"), 42, id="compressed"),
        pytest.param(("kernels.cu",), ("-Xfatbin", "--compress-mode=speed"), 42, id="LZ4"),
        pytest.param(("kernels.cu",), (), 42, id="whole program"),
        pytest.param(("device.cu", "caller.cu"), ("-rdc=true",), 43, id="relocatable device code"),
    ],
)
def test_nvidias_own_lister_agrees(
    sources: tuple[str, ...], flags: tuple[str, ...], answer: int, opened: Open, tmp_path: Path
) -> None:
    """cuobjdump lists exactly the kept architectures, extracts the same machine code, and the library loads."""
    library = nvcc(tmp_path, sources, CODES, "-Xptxas", "-O0", "-G", *flags)
    made = save(pruned(opened(library)), tmp_path / "pruned.so")
    was, now = extracted(library, tmp_path / "was"), extracted(made, tmp_path / "now")

    # Its names are without the letter of a variant.
    assert set(was) == {code.rstrip("a") for code in CODES if code.startswith("sm_")}
    assert set(now) == {"sm_90"}
    assert now["sm_90"] == was["sm_90"]
    # It does not look into __nv_relfatbin, where relocatable device code has its PTX.
    ptx = {number for name in listed(made, "-lptx") for number in re.findall(r"\.sm_(\d+)", name)}
    assert ptx == ({"120"} if listed(library, "-lptx") else set())
    assert call(made, "answer") == answer
    assert violations(opened(library), opened(made), H100) == []


def test_what_nvcc_makes_is_read(opened: Open, tmp_path: Path) -> None:
    """Architectures, their variants and kinds are those that nvcc was asked for."""
    library = nvcc(tmp_path, ["kernels.cu"], CODES)
    found = areas(parse(opened(library)))
    code = {
        f"sm_{each.architecture}"
        for area in found
        for one in area.containers
        for each in one.entries
        if each.kind == CUBIN
    }
    ptx = {
        f"compute_{each.architecture}"
        for area in found
        for one in area.containers
        for each in one.entries
        if each.kind == PTX
    }

    assert code | ptx == set(CODES)
    assert all(len(stay) == 1 for stay in chosen(found, Wanted(frozenset({80}), keep_ptx=False)).values())
