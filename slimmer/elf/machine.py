"""Which machines' objects an image of an architecture may run: gABI's e_machine, Go's names as OCI uses them."""

from __future__ import annotations

EM_386, EM_MIPS, EM_PPC64, EM_S390, EM_ARM, EM_X86_64, EM_AARCH64, EM_RISCV, EM_LOONGARCH = (
    3,
    8,
    21,
    22,
    40,
    62,
    183,
    243,
    258,
)
EM_BPF = 247

_RUNS = {
    "386": (EM_386,),
    "amd64": (EM_X86_64, EM_386),
    "arm": (EM_ARM,),
    "arm64": (EM_AARCH64, EM_ARM),
    "loong64": (EM_LOONGARCH,),
    "mips64le": (EM_MIPS,),
    "mipsle": (EM_MIPS,),
    "ppc64le": (EM_PPC64,),
    "riscv64": (EM_RISCV,),
    "s390x": (EM_S390,),
}


def machine_of(architecture: str) -> int | None:
    """Give the machine that ARCHITECTURE is named after; None for an unknown one."""
    machines = _RUNS.get(architecture)
    return machines[0] if machines else None


def is_foreign(machine: int, architecture: str) -> bool:
    """Say whether an object of MACHINE is only data in an image of ARCHITECTURE; an unknown one may run all."""
    return machine not in _RUNS.get(architecture, (machine,))
