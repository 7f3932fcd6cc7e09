"""Libraries with filler at the end of a segment, as patchelf leaves it, and what they look like in memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from slimmer.content import Content
from slimmer.elf.object import PT_LOAD, Object, Segment, aligned, parse

from loading import patchelf

if TYPE_CHECKING:
    from pathlib import Path

PT_NOTE, READ_WRITE = 4, 6

_PEEK = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1], mode=2)
base = ctypes.cast(library.answer, ctypes.c_void_p).value - int(sys.argv[2], 16)
for place in sys.argv[3:]:
    start, length = (int(number, 16) for number in place.split("+"))
    print(ctypes.string_at(base + start, length).hex())
"""


def with_segment(content: Content, held: bytes, flags: int = READ_WRITE, **more: int) -> tuple[Content, int]:
    """Give a library with one more PT_LOAD that holds these bytes at the end of the file, and the segment's index.

    Its program header takes the place of the PT_NOTE's, whose bytes nobody needs. MORE are other fields of it.
    """
    elf = parse(content)
    index = next(number for number, segment in enumerate(elf.segments) if segment.type == PT_NOTE)
    loads = [segment for segment in elf.segments if segment.type == PT_LOAD]
    page = loads[0].align
    offset = aligned(content.size, page)
    address = aligned(max(segment.vaddr + segment.memsz for segment in loads), page)
    segment = replace(
        Segment(PT_LOAD, flags, offset, address, address, len(held), len(held), page),
        **more,
    )
    data = content.read_at(0, content.size)
    grown = Content.of(data + bytes(offset - content.size) + held)
    return grown.overlaid(elf.header.phoff + index * elf.header.phentsize, segment.pack(elf.form)), index


def shortened(content: Content, index: int, size: int) -> Content:
    """Give an object with another p_filesz of one program header, and nothing else changed."""
    elf = parse(content)
    segment = replace(elf.segments[index], filesz=size)
    return content.overlaid(elf.header.phoff + index * elf.header.phentsize, segment.pack(elf.form))


def edited(library: Path, edits: int) -> None:
    """Edit a library as auditwheel does, several times: each makes the table of names longer, which moves it."""
    for edit in range(edits):
        names = ("--set-soname", f"libanswer-{'x' * 40 * edit}.so", "--set-rpath", "$ORIGIN/" + "r" * 99 * (edit + 1))
        subprocess.run([patchelf(), *names, library], check=True, capture_output=True)


def source_with_many_symbols(source: str, count: int = 400) -> str:
    """Give a source with so many functions that patchelf moves tables of more than one page of 4 KiB."""
    return source + "".join(f"int exported_{number:04}(void) {{ return {number}; }}\n" for number in range(count))


def memory(library: Path, *places: tuple[int, int]) -> list[bytes]:
    """Load a library in a process of its own and give what it has in memory at addresses of its own, each with its length."""
    elf = subprocess.run(["nm", "-D", library], check=True, capture_output=True, text=True)
    (row,) = (line for line in elf.stdout.splitlines() if line.endswith(" T answer"))
    asked = [f"{start:x}+{length:x}" for start, length in places]
    done = subprocess.run(
        [sys.executable, "-c", _PEEK, library, row.split()[0], *asked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{library}: exit status {done.returncode}: {done.stderr}"
    return [bytes.fromhex(line) for line in done.stdout.splitlines()]


def image(elf: Object, limit: int = 1 << 22) -> bytes:
    """Give what a loader makes of the segments, by this module's own reckoning; raise OverflowError beyond LIMIT bytes."""
    found = bytearray()
    for segment in elf.segments:
        if segment.type == PT_LOAD:
            stop = segment.vaddr + segment.memsz
            if stop > limit:
                raise OverflowError(stop)
            found.extend(bytes(max(stop - len(found), 0)))
            data = elf.content.read_at(segment.offset, segment.filesz)
            found[segment.vaddr : stop] = data + bytes(segment.memsz - len(data))
    return bytes(found)
