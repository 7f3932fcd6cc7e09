"""The keep rule against NVIDIA's own choice: what nvJitLink makes of a container before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slimmer.elf.gpu.choice import Wanted, kept
from slimmer.elf.gpu.compaction import areas
from slimmer.elf.gpu.fatbin import CUBIN, PTX, RELFATBIN
from slimmer.elf.object import parse
from slimmer.elf.pruned import prune

from fatbins import CODES, PACK_LZ4, container_of, nvcc
from nvidia_tools import JitLinker, LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slimmer.content import Content
    from slimmer.elf.gpu.fatbin import Container

    Open = Callable[[Path], Content]

GPUS = ("75", "80", "86", "89", "90", "100", "103", "120", "121")
BUILDS = [
    pytest.param(CODES, (), id="what PyTorch is built for, with PTX"),
    pytest.param(("sm_75", "sm_80", "compute_80"), (), id="older GPUs and PTX"),
    pytest.param(("sm_80", "sm_86", "compute_75"), (), id="PTX older than the code"),
    pytest.param(("compute_75", "compute_90"), (), id="PTX alone"),
    pytest.param(("sm_100", "sm_120", "compute_80"), (), id="newer GPUs and PTX"),
    pytest.param(("sm_90a", "sm_100f", "sm_120f"), (), id="variants without plain code"),
    pytest.param(("sm_100a", "sm_103", "compute_90"), (), id="a variant, and the family's next"),
    pytest.param(("sm_80", "compute_100f"), (), id="a family's PTX"),
    pytest.param(("sm_80", "sm_90"), (), id="no PTX"),
    pytest.param(CODES, PACK_LZ4, id="LZ4"),
    pytest.param(CODES, ("-Xfatbin", "-compress-all", "-Xfatbin", "--compress-mode=balance"), id="zstd"),
]


@pytest.fixture(scope="module")
def linker() -> JitLinker:
    """Give NVIDIA's linker."""
    return JitLinker()


def parts(content: Content) -> tuple[Container, ...]:
    """Give the containers of relocatable code."""
    (area,) = (area for area in areas(parse(content)) if area.section.name == RELFATBIN)
    return area.containers


def made(linker: JitLinker, containers: list[bytes], gpu: str) -> bytes | str:
    """Give the machine code that is linked for a GPU, or what the linker says instead."""
    try:
        return linker.link(containers, gpu)
    except LinkError as error:
        return str(error)


def relocatable(directory: Path, codes: tuple[str, ...], flags: tuple[str, ...] = ()) -> Path:
    """Compile two files, one of which calls the other, for CODES."""
    return nvcc(directory, ["device.cu", "caller.cu"], codes, "-rdc=true", *flags)


@pytest.mark.parametrize(("codes", "flags"), BUILDS)
def test_each_gpu_gets_the_same_machine_code(
    codes: tuple[str, ...], flags: tuple[str, ...], linker: JitLinker, opened: Open, tmp_path: Path
) -> None:
    """For each GPU, what stays links to byte for byte what all of it links to; where nothing fits, both say the same."""
    content = opened(relocatable(tmp_path, codes, flags))
    found = parts(content)
    linked = set()
    for gpu in GPUS:
        before = made(linker, [container_of(content, each.entries) for each in found], gpu)
        linked.add(before)
        for keep_ptx in (True, False):
            wanted = Wanted(frozenset({int(gpu)}), keep_ptx=keep_ptx)
            after = made(linker, [container_of(content, kept(each.entries, wanted)) for each in found], gpu)
            assert after == before, (gpu, keep_ptx)

    assert any(isinstance(each, bytes) for each in linked)


def test_other_code_makes_other_machine_code(linker: JitLinker, opened: Open, tmp_path: Path) -> None:
    """What the test above compares does tell which entry was taken: each choice links to bytes of its own."""
    content = opened(relocatable(tmp_path, ("sm_80", "sm_86", "compute_75", "compute_80")))
    found = parts(content)

    def only(kind: int, number: int) -> Iterator[bytes]:
        for each in found:
            stay = [entry for entry in each.entries if (entry.kind, entry.architecture.number) == (kind, number)]
            assert len(stay) == 1
            yield container_of(content, stay)

    choices = [(CUBIN, 80), (CUBIN, 86), (PTX, 75), (PTX, 80)]
    results = [linker.link(list(only(*choice)), "89") for choice in choices]
    whole = linker.link([container_of(content, each.entries) for each in found], "89")

    assert len(set(results)) == len(choices)
    assert whole == results[1]


@pytest.mark.parametrize("recompress", [False, True], ids=["pruned", "packed anew"])
def test_the_linker_reads_what_was_written(
    recompress: object,
    linker: JitLinker,
    opened: Open,
    tmp_path: Path,
) -> None:
    """The parts in a library that was written link as before, for the GPU that it was made for and for newer ones.

    Parts go where linked code serves the GPU, so the library is made for a GPU for which it has none.
    """
    library = relocatable(
        tmp_path,
        ("sm_80", "sm_100", "compute_80", "compute_90"),
        (*PACK_LZ4, "-Xptxas", "-O0", "-G"),
    )
    content = opened(library)
    wanted = Wanted(frozenset({90}))
    pruned = prune(parse(content), wanted, "amd64", recompress=bool(recompress))
    assert pruned is not None
    after = pruned[0]

    def whole(content: Content) -> list[bytes]:
        return [content.read_at(each.start, each.size) for each in parts(content)]

    assert [len(each.entries) for each in parts(after)] != [len(each.entries) for each in parts(content)]
    for gpu in ("90", "120"):
        assert linker.link(whole(after), gpu) == linker.link(whole(content), gpu), gpu
