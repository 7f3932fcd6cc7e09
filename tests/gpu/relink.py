"""Whether NVIDIA's linker makes the same machine code of the parts that stay, for libraries named on the command line.

    PYTHONPATH=tests/support python tests/gpu/relink.py .../nvidia/nccl/lib/libnccl.so.2

Needs no GPU. For each GPU the parts in `__nv_relfatbin` are linked as they are and as the keep rule leaves them, with PTX
and without: the three results have to be one. Exit status 1 where they are not.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from slimmer.blobs import File
from slimmer.content import Content
from slimmer.elf.gpu.choice import Wanted, kept
from slimmer.elf.gpu.compaction import areas
from slimmer.elf.gpu.fatbin import RELFATBIN
from slimmer.elf.object import parse
from slimmer.pieces import Piece

from fatbins import container_of
from nvidia_tools import JitLinker, LinkError

GPUS = ("75", "80", "86", "89", "90", "100", "103", "120", "121")


def main(libraries: list[str]) -> int:
    """Print a line for each library and GPU; give the exit status."""
    linker = JitLinker()
    are_equal = True
    for library in libraries:
        with Path(library).open("rb") as stream:
            content = Content([Piece(File(stream), 0, Path(library).stat().st_size)])
            for gpu in GPUS:
                found = results(linker, content, gpu)
                is_equal = len(set(found)) == 1
                are_equal = are_equal and is_equal
                verdict = f"the same, {found[0]}" if is_equal else f"DIFFERENT, {', '.join(found)}"
                print(f"{Path(library).name} sm_{gpu}: {verdict}", flush=True)
    return 0 if are_equal else 1


def results(linker: JitLinker, content: Content, gpu: str) -> list[str]:
    """Give what is linked of all parts, of those that stay with the newest PTX, and of those that stay without."""
    held = [
        each.entries for area in areas(parse(content)) if area.section.name == RELFATBIN for each in area.containers
    ]
    wanted = [Wanted(frozenset({int(gpu)}), keep_ptx=keep_ptx) for keep_ptx in (True, False)]
    made = []
    for chosen in (held, *([kept(entries, each) for entries in held] for each in wanted)):
        try:
            linked = linker.link([container_of(content, entries) for entries in chosen], gpu)
            made.append(f"{len(linked)} bytes {hashlib.sha256(linked).hexdigest()[:12]}")
        except LinkError as error:
            made.append(f"which is nothing: {error}")
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
