"""Layout and proof of many objects in one process, as the strip rule does them; what is timed is this program.

    python layouts.py DIRECTORY < paths, each ended by a zero byte

Writes each result into DIRECTORY under its number in the list. Without DIRECTORY nothing is written.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from slimmer.blobs import File
from slimmer.content import Content
from slimmer.elf.object import parse
from slimmer.elf.shared import laid_out
from slimmer.pieces import Piece


def main(directory: Path | None) -> None:
    """Slim every object on the list."""
    for number, path in enumerate(sys.stdin.buffer.read().split(b"\0")[:-1]):
        with Path(os.fsdecode(path)).open("rb") as stream:
            content = Content([Piece(File(stream), 0, os.fstat(stream.fileno()).st_size)])
            slimmed = laid_out(parse(content))
            if directory is not None:
                with (directory / str(number)).open("wb") as result:
                    for chunk in slimmed.chunks():
                        result.write(chunk)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
