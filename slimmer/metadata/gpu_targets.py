"""Which GPUs a person means: those named, and `torch` for all that the image's own PyTorch has machine code for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.gpu.architectures import DISCRETE, TEGRA, gpu_named, runs_on
from slimmer.elf.gpu.fatbin import CUBIN, read_containers, sections
from slimmer.elf.object import parse
from slimmer.errors import ElfError, UsageError
from slimmer.native_gpus import native_architectures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.elf.gpu.architectures import Architecture
    from slimmer.rootfs import Rootfs
    from slimmer.settings import Settings

TORCH, NATIVE = "torch", "native"
_LIBRARY = "libtorch_cuda.so"
ARCHITECTURES_LABEL = "slimmer.gpu-arch"
DRIVER_LABEL = "slimmer.gpu-driver"
LEAST_DRIVER = ">=550.54.14"
"""The first driver that reads zstd: that of CUDA 12.4."""


def targets(rootfs: Rootfs, names: tuple[str, ...]) -> frozenset[int]:
    """Give the GPUs of these names; raise UsageError for what names none here."""
    found: set[int] = set()
    for name in names:
        found |= _torch(rootfs) if name == TORCH else {gpu_named(name)}
    return frozenset(found)


def gpus_asked_for(names: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Give NAMES with this machine's GPUs in place of `native`; raise UsageError for what names none anywhere."""
    found: list[str] = []
    for name in names:
        if name == NATIVE:
            found += native_architectures(environment)
            continue
        if name != TORCH:
            gpu_named(name)
        found.append(name)
    return tuple(dict.fromkeys(found))


def labels(rootfs: Rootfs, settings: Settings) -> dict[str, str]:
    """Give what an image is labelled with whose GPU code was changed: what is left, and the driver that it needs."""
    found = {}
    if settings.gpu_arch:
        found[ARCHITECTURES_LABEL] = ",".join(f"sm_{gpu}" for gpu in sorted(targets(rootfs, settings.gpu_arch)))
    if settings.gpu_recompress:
        found[DRIVER_LABEL] = LEAST_DRIVER
    return found


def _torch(rootfs: Rootfs) -> set[int]:
    """Give every GPU that runs machine code of the image's libtorch_cuda, those newer than the code too."""
    carried: set[Architecture] = set()
    for path, inode in rootfs.files():
        if path.rpartition("/")[2] == _LIBRARY and inode.content is not None:
            try:
                elf = parse(inode.content)
                for section in sections(elf):
                    for container in read_containers(elf, section):
                        carried |= {entry.architecture for entry in container.entries if entry.kind == CUBIN}
            except ElfError as error:
                raise UsageError(f"--gpu-arch torch: the GPU code of /{path} cannot be read: {error}") from error
    if not carried:
        raise UsageError(
            f"--gpu-arch torch: the image has no {_LIBRARY} with GPU code; name architectures, such as sm_90"
        )
    known = {*DISCRETE, *(each.number for each in carried)}
    return {
        gpu for gpu in known if any(runs_on(each, gpu) and (gpu not in TEGRA or each.number == gpu) for each in carried)
    }
