"""GPU architectures: their names, and which code runs on which GPU.

The rules are those of NVIDIA's compatibility guides: machine code runs on the same major version with a minor version
that is not lower; never across Tegra (integrated) and discrete GPUs; an `a` architecture only on that very one, an `f`
one within its family. PTX is compiled at load time on anything that is not older.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from slimmer.errors import UsageError

TEGRA = frozenset({32, 53, 62, 72, 87, 88, 101, 110})
"""Integrated GPUs: their code is for them alone."""
DISCRETE = (50, 52, 60, 61, 70, 75, 80, 86, 89, 90, 100, 103, 120, 121)
"""Discrete GPUs that CUDA 12 or 13 can make code for."""
_NAME = re.compile(r"sm_(\d{2,3})[af]?")
_LOWEST = 10


@dataclass(frozen=True, slots=True, order=True)
class Architecture:
    """What code was made for: a number such as 90, and `a` or `f` for what only that GPU or its family has."""

    number: int
    variant: str = ""

    @property
    def major(self) -> int:
        """The generation, which alone runs its machine code."""
        return self.number // 10

    def __str__(self) -> str:
        return f"{self.number}{self.variant}"


def gpu_named(name: str) -> int:
    """Give the number of the GPU of a name: 90 for sm_90, and for sm_90a, which is code for the same GPU.

    Raises UsageError for what is no such name.
    """
    found = _NAME.fullmatch(name)
    if found is None or int(found[1]) < _LOWEST:
        raise UsageError(
            f"--gpu-arch {name}: a GPU architecture is sm_ and a number, such as sm_90, or native, or torch"
        )
    return int(found[1])


def runs_on(code: Architecture, gpu: int) -> bool:
    """Say whether machine code runs on a GPU."""
    if code.variant == "a" or code.number in TEGRA:
        return code.number == gpu
    # Whether an integrated GPU takes the code of discrete ones of its generation is told differently by NVIDIA's guides
    # and by those who run it: such code is kept for it.
    return code.major == gpu // 10 and code.number <= gpu


def compiles_for(ptx: Architecture, gpu: int) -> bool:
    """Say whether a driver compiles PTX for a GPU."""
    if ptx.variant == "a":
        return ptx.number == gpu
    return ptx.number <= gpu and (not ptx.variant or ptx.major == gpu // 10)


def is_dedicated(code: Architecture, gpu: int) -> bool:
    """Say whether machine code that runs on a GPU is what it takes without doubt.

    Another kind of GPU's is not, nor is that of a variant: for sm_100, NVIDIA's linker of CUDA 13.0 takes sm_100a code
    before PTX, and that of 13.5 PTX before sm_100a code.
    """
    return not code.variant and (gpu not in TEGRA or code.number == gpu)
