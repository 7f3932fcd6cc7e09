"""Kernels launched from libraries with less GPU code. Without a GPU: the same libraries say that there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from slimmer.elf.gpu.choice import Wanted
from slimmer.elf.object import parse
from slimmer.elf.pruned import prune
from slimmer.elf.shared import slim_shared_object

from fatbins import CODES, PACK_LZ4, nvcc
from gpus import NO_DRIVER, NO_KERNEL_IMAGE, computed, gpu
from handmade import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slimmer.content import Content

    Open = Callable[[Path], Content]

NUMBERS = [float(number) for number in range(1000)]
needs_gpu = pytest.mark.skipif(gpu() is None, reason="there is no NVIDIA GPU on this machine; tests/gpu/README.md")
both_loadings = pytest.mark.parametrize("loading", ["EAGER", "LAZY"])


class Program(NamedTuple):
    """Sources of fixtures/cuda, how they are compiled, what they make of 0 to 999, and what needs no GPU."""

    sources: tuple[str, ...]
    flags: tuple[str, ...]
    values: list[float]
    answer: int


WHOLE = Program(("kernels.cu", "computed.cu"), (), [2 * value + 1 for value in NUMBERS], 42)
LINKED = Program(("device.cu", "caller.cu", "computed.cu"), ("-rdc=true",), [3 * value for value in NUMBERS], 43)
PROGRAMS = [
    pytest.param(WHOLE, id="whole program"),
    pytest.param(WHOLE._replace(flags=PACK_LZ4), id="LZ4"),
    pytest.param(LINKED, id="relocatable device code"),
    pytest.param(LINKED._replace(flags=(*LINKED.flags, *PACK_LZ4)), id="relocatable device code, LZ4"),
]
programs = pytest.mark.parametrize("program", PROGRAMS)
packed_programs = pytest.mark.parametrize("program", PROGRAMS[1::2])


def built(directory: Path, program: Program, codes: tuple[str, ...] = CODES) -> Path:
    """Compile a program without optimisation: there has to be something to take out."""
    return nvcc(directory, program.sources, codes, "-Xptxas", "-O0", "-G", *program.flags)


def made(library: Path, opened: Open, directory: Path, wanted: Wanted | None, *, recompress: bool = False) -> Path:
    """Write the library with what WANTED keeps, stripped as well."""
    pruned = prune(parse(opened(library)), wanted, "amd64", recompress=recompress)
    assert pruned is not None
    stripped = slim_shared_object(pruned[0], "amd64", None)
    return save((stripped or pruned)[0], directory / "made.so")


def test_without_a_gpu_both_say_that_there_is_none(opened: Open, tmp_path: Path) -> None:
    """The runtime starts in both, reads what the library registered, and reports the same."""
    if gpu() is not None:
        pytest.skip("there is a GPU: the tests below launch kernels on it")
    for program in (WHOLE, LINKED):
        library = built(tmp_path, program)
        slim = made(library, opened, tmp_path, Wanted(frozenset({90})))
        was, now = computed(library, "EAGER"), computed(slim, "EAGER")

        assert was == now
        assert was[0] in NO_DRIVER
        assert was[1:] == (NUMBERS, program.answer)


@needs_gpu
@programs
@both_loadings
@pytest.mark.parametrize("keep_ptx", [True, False], ids=["with PTX", "without PTX"])
def test_kernels_of_what_was_kept_compute(
    program: Program, loading: str, keep_ptx: object, opened: Open, tmp_path: Path
) -> None:
    """Made for this GPU alone, a library computes what it did with code for all."""
    library = built(tmp_path, program)
    slim = made(library, opened, tmp_path, Wanted(frozenset({gpu() or 0}), keep_ptx=bool(keep_ptx)))

    assert computed(library, loading) == (0, program.values, program.answer)
    assert computed(slim, loading) == (0, program.values, program.answer)


@needs_gpu
@packed_programs
@both_loadings
@pytest.mark.parametrize("is_pruned", [False, True], ids=["every architecture", "this GPU alone"])
def test_kernels_that_were_packed_anew_compute(
    program: Program, loading: str, is_pruned: object, opened: Open, tmp_path: Path
) -> None:
    """The driver unpacks the zstd frames that slimmer wrote."""
    wanted = Wanted(frozenset({gpu() or 0})) if is_pruned else None
    slim = made(built(tmp_path, program), opened, tmp_path, wanted, recompress=True)

    assert computed(slim, loading) == (0, program.values, program.answer)


@needs_gpu
@programs
@both_loadings
def test_a_newer_gpu_compiles_the_ptx_that_stayed(program: Program, loading: str, opened: Open, tmp_path: Path) -> None:
    """Made for older GPUs, a library still starts on this one; relocatable code is linked by the driver from its parts."""
    if (gpu() or 0) <= 75:
        pytest.skip("this GPU is the oldest that CUDA 13 has code for")
    library = built(tmp_path, program, ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120", "compute_75"))
    slim = made(library, opened, tmp_path, Wanted(frozenset({75})))

    assert computed(slim, loading) == (0, program.values, program.answer)


@needs_gpu
@programs
@both_loadings
def test_a_gpu_without_code_is_told_so(program: Program, loading: str, opened: Open, tmp_path: Path) -> None:
    """Made for another GPU and without PTX, a library says that it has no kernels, and what needs none works.

    This shows besides that the tests above can fail.
    """
    other = 75 if gpu() != 75 else 90
    slim = made(built(tmp_path, program), opened, tmp_path, Wanted(frozenset({other}), keep_ptx=False))
    error, values, answer = computed(slim, loading)

    assert error == NO_KERNEL_IMAGE
    assert (values, answer) == (NUMBERS, program.answer)
