"""Libraries with GPU code: containers made by hand and linked by gcc, and real ones by nvcc."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer.elf.gpu.fatbin import CONTAINER, CUBIN, ENTRY

from nvidia_tools import libraries, program

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slimmer.content import Content
    from slimmer.elf.gpu.fatbin import Entry

CUDA = Path(__file__).parent.parent.parent / "fixtures" / "cuda"
CODES = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_90a", "sm_100", "sm_100a", "sm_120", "compute_75", "compute_120")
"""What the tests ask nvcc for."""
PACK_LZ4 = ("-Xfatbin", "-compress-all", "-Xfatbin", "--compress-mode=speed")
"""What has nvcc pack code with LZ4."""
_VARIANTS = {"": 0, "a": 0x100000, "f": 0x200000}
_RECORDS = """#include <stdio.h>
extern char first_record[] __attribute__((visibility("hidden")));
char *records(void) { return first_record; }
int answer(void) { return 42; }
"""
_LOOK = """
import ctypes, hashlib, json, sys
library = ctypes.CDLL(sys.argv[1], mode=2)
library.records.restype = ctypes.c_void_p
found = []
for index in range(int(sys.argv[2])):
    record = ctypes.string_at(library.records() + 24 * index, 24)
    pointer = int.from_bytes(record[8:16], "little")
    size = 16 + int.from_bytes(ctypes.string_at(pointer + 8, 8), "little")
    found.append(hashlib.sha256(ctypes.string_at(pointer, size)).hexdigest())
print(json.dumps(found))
"""


def entry(kind: int, arch: str, size: int = 2048, *, flags: int = 0x11, fill: bytes = b"") -> bytes:
    """Give a piece of code for an architecture such as `90a`, its payload of SIZE bytes unlike any other's."""
    number, variant = int(arch.rstrip("af")), arch.lstrip("0123456789")
    seed = hashlib.sha256(f"{kind} {arch} {size}".encode()).digest()
    payload = (fill or seed * (size // len(seed) + 1))[:size]
    fields = (kind, 0x101, ENTRY.size, len(payload), 0, 0, 7, 1, number, 0, 0, flags | _VARIANTS[variant], 0, 0)
    return ENTRY.pack(*fields) + payload


def container(*entries: bytes) -> bytes:
    """Give a container of these entries."""
    return CONTAINER.pack(0xBA55ED50, 1, CONTAINER.size, sum(map(len, entries))) + b"".join(entries)


def container_of(content: Content, entries: Iterable[Entry]) -> bytes:
    """Give a container of these entries of a library."""
    return container(*(content.read_at(each.start, each.size) for each in entries))


def cubins(*archs: str, size: int = 2048) -> bytes:
    """Give a container of machine code for each architecture."""
    return container(*(entry(CUBIN, arch, size) for arch in archs))


def linked(
    directory: Path,
    containers: Sequence[bytes],
    *flags: str,
    parts: Sequence[bytes] = (),
    unreferenced: int = 0,
    more: str = "",
    name: str = "libgpu.so",
    compiler: str = "gcc",
) -> Path:
    """Link a library of these containers, of which the first UNREFERENCED have no record; PARTS go to __nv_relfatbin.

    Where there are parts, the records of the containers are those of a device linker's output.
    """
    lines, records = [], []
    for section, group in ((".nv_fatbin", containers), ("__nv_relfatbin", parts)):
        for index, data in enumerate(group):
            label = f"part{index}" if section == "__nv_relfatbin" else f"container{index}"
            path = directory / f"{label}.bin"
            path.write_bytes(data)
            lines.append(f'.section {section},"a",@progbits\n.balign 8\n{label}: .incbin "{path}"')
            if label.startswith("part") or index >= unreferenced:
                version = 2 if parts and label.startswith("container") else 1
                records.append(f".long 0x466243b1, {version}\n.quad {label}, 0")
    lines.append(
        '.section .nvFatBinSegment,"aw",@progbits\n.balign 8\n.globl first_record\n.hidden first_record\nfirst_record:'
    )
    (directory / "gpu.s").write_text("\n".join([*lines, *records, more, '.section .note.GNU-stack,"",@progbits', ""]))
    (directory / "records.c").write_text(_RECORDS)
    result = directory / name
    command: list[str | Path] = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        *flags,
        "-o",
        result,
        directory / "records.c",
        directory / "gpu.s",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return result


def loaded_containers(library: Path, count: int) -> list[str]:
    """Load a library in a process of its own, all symbols bound, and give the digest of what each record points at."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, library, str(count)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def digests(containers: Sequence[bytes]) -> list[str]:
    """Give the digest of each container."""
    return [hashlib.sha256(data).hexdigest() for data in containers]


def nvcc(
    directory: Path, sources: Sequence[str], codes: Sequence[str], *flags: str, name: str = "libcuda_code.so"
) -> Path:
    """Compile sources of fixtures/cuda for CODES such as `sm_90` and `compute_90`."""
    wanted = [f"-gencode=arch=compute_{code.partition('_')[2]},code={code}" for code in codes]
    result = directory / name
    command: list[str | Path] = [
        program("nvcc"),
        "--threads=2",
        "-shared",
        "-Xcompiler",
        "-fPIC",
        *(f"-L{each}" for each in libraries()),
        *flags,
        *wanted,
        "-o",
        result,
        *(CUDA / each for each in sources),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return result


def listed(library: Path, what: str) -> list[str]:
    """Give the file names under which NVIDIA's own program lists the code of a library."""
    done = subprocess.run([program("cuobjdump"), what, library], capture_output=True, text=True, check=True)
    return re.findall(r"file\s+\d+: (\S+)", done.stdout)


def extracted(library: Path, directory: Path) -> dict[str, list[bytes]]:
    """Give the machine code in a library by architecture, as NVIDIA's own program extracts it."""
    directory.mkdir()
    subprocess.run(
        [program("cuobjdump"), "-xelf", "all", library.absolute()], cwd=directory, capture_output=True, check=True
    )
    found: dict[str, list[bytes]] = {}
    for path in sorted(directory.iterdir()):
        arch = re.findall(r"sm_\d+", path.name)[-1]
        found.setdefault(arch, []).append(path.read_bytes())
    return {arch: sorted(each) for arch, each in found.items()}
