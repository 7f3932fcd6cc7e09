"""The separate debug file of an ELF object: what slimming takes out, kept where a debugger looks for it.

It is what `objcopy --only-keep-debug` makes: the object's headers, and of its sections those that are not loaded.
A loaded section keeps its header, by which a debugger maps addresses, and becomes SHT_NOBITS; notes keep their bytes,
for the build ID among them is how a debugger knows whose debug file it is. Unlike objcopy, which sorts the sections of
a patchelf-ed library anew and shortens its segments, this changes no section index and no address.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from slimmer import temporary
from slimmer.blobs import ZEROS, File
from slimmer.content import Content
from slimmer.elf.object import PT_LOAD, SHT_NOBITS, SHT_NULL, Object, Section, Segment, aligned
from slimmer.errors import DestinationError, ElfError
from slimmer.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

_PT_NOTE = 4
_SHT_NOTE = 7
_NT_GNU_BUILD_ID = 3
_BUILD_ID_SIZES = range(2, 65)
"""Bytes of a build ID: two name a directory and a file in it; the longest that elfutils reads has 64."""
_MAX_NOTES = 4096
_TABLE_ALIGN = 8
_MAX_ALIGN = 64
"""Nothing here is mapped: what a header may ask for beyond that would only be room between a million sections."""


def build_id(elf: Object) -> str | None:
    """Give the object's NT_GNU_BUILD_ID in hex, or None when it has none that could name a file.

    It is read from the PT_NOTE segments, as a debugger reads it from a core or a running process: sections may be gone.
    """
    for kind, name, description in islice(_notes(elf), _MAX_NOTES):
        if kind == _NT_GNU_BUILD_ID and name == b"GNU\0" and description.size in _BUILD_ID_SIZES:
            return description.read_at(0, description.size).hex()
    return None


def _notes(elf: Object) -> Iterator[tuple[int, bytes, Content]]:
    """Give type, name and description of each note, up to the first one in a segment that does not fit into it."""
    order = "little" if elf.form.little else "big"
    for segment in elf.segments:
        if segment.type != _PT_NOTE:
            continue
        # The gABI aligns the notes of 64-bit objects by 8, everyone by 4, but where p_align says 8.
        align = 8 if segment.align == 8 else 4
        position, stop = segment.offset, segment.offset + segment.filesz
        while position + 12 <= stop:
            words = elf.content.read_at(position, 12)
            namesz, descsz, kind = (int.from_bytes(words[at : at + 4], order) for at in (0, 4, 8))  # type: ignore[arg-type] # a Literal
            start = position + aligned(12 + namesz, align)
            if start + descsz > stop:
                break
            name = elf.content.read_at(position + 12, min(namesz, 8))
            yield kind, name, elf.content.slice(start, start + descsz)
            position = start + aligned(descsz, align)


def debug_file(elf: Object) -> Content:
    """Give the separate debug file of the object; nothing is copied, it refers to the places of the object's bytes.

    Raise ElfError when the sections that it would hold overlap: such a file could be larger than any disk.
    """
    kept = [section for section in elf.sections if _is_kept(elf, section)]
    if sum(section.file_size for section in kept) > elf.content.size:
        raise ElfError("its sections overlap")
    header_size = max(elf.header.ehsize, len(elf.header.pack(elf.form)))
    phoff = header_size if elf.segments else elf.header.phoff
    position = header_size + len(elf.segments) * elf.form.segment.size
    # What the ELF header and what stays right behind it still fill, where the program headers did not move.
    head = position if phoff == elf.header.phoff else header_size
    sections: dict[int, Section] = {}
    # In the order of the file, so that the notes of the first PT_LOAD go on standing right behind the headers.
    for section in sorted(elf.sections, key=lambda each: (each.offset, each.index)):
        sections[section.index] = _described(elf, section, position)
        position = max(position, sections[section.index].offset + sections[section.index].file_size)
    shoff = aligned(position, _TABLE_ALIGN) if elf.sections else 0
    notes = [section for section in kept if section.is_allocated and section.file_size]
    segments = [_described_segment(segment, head, notes, sections) for segment in elf.segments]
    header = replace(elf.header, phoff=phoff, shoff=shoff)
    parts = [
        (0, Content.of(header.pack(elf.form))),
        (phoff, Content.of(b"".join(segment.pack(elf.form) for segment in segments))),
        (shoff, Content.of(b"".join(sections[section.index].pack(elf.form) for section in elf.sections))),
    ]
    parts += [
        (sections[section.index].offset, elf.content.slice(section.offset, section.offset + section.file_size))
        for section in kept
        if section.file_size
    ]
    return _joined(parts)


def _is_kept(elf: Object, section: Section) -> bool:
    """Say whether the section's bytes go into the debug file: it is not loaded, is a note, or holds the names."""
    return not section.is_allocated or section.type == _SHT_NOTE or section.index == elf.shstrndx


def _described(elf: Object, section: Section, position: int) -> Section:
    """Give the section's header in the debug file, of which POSITION is the first free byte."""
    if section.type == SHT_NULL:
        return section
    if not _is_kept(elf, section):
        return section._replace(type=SHT_NOBITS, offset=position)
    return section._replace(offset=aligned(position, min(max(section.addralign, 1), _MAX_ALIGN)))


def _described_segment(segment: Segment, head: int, notes: list[Section], sections: dict[int, Section]) -> Segment:
    """Give the program header with what the segment still holds: notes, or the ELF header and notes right behind it.

    Where a segment holds nothing any more its p_offset stays congruent to p_vaddr, as objcopy keeps it.
    """
    stop = segment.offset + segment.filesz
    if segment.offset < head:
        offset, filesz = segment.offset, max(min(segment.filesz, head - segment.offset), 0)
    else:
        offset, filesz = None, 0
    for section in sorted(notes, key=lambda each: each.offset):
        if section.offset < segment.offset or section.offset + section.file_size > stop:
            continue
        place = sections[section.index].offset
        if offset is None and section.offset == segment.offset:
            offset = place
        if offset is not None and place - offset == section.offset - segment.offset:
            filesz = place - offset + section.file_size
    if not filesz or offset is None or (segment.type == PT_LOAD and (offset - segment.offset) % max(segment.align, 1)):
        return replace(segment, offset=segment.offset % max(segment.align, 1), filesz=0)
    return replace(segment, offset=offset, filesz=filesz)


def _joined(parts: list[tuple[int, Content]]) -> Content:
    """Give one content of the parts at their places, with zeros between them."""
    pieces: list[Piece] = []
    position = 0
    for offset, part in sorted(parts, key=lambda each: each[0]):
        if part.size:
            pieces += [Piece(ZEROS, 0, offset - position), *part.pieces]
            position = offset + part.size
    return Content(pieces)


def debug_path(build_id: str) -> str:
    """Give where below a debug file directory gdb, lldb and elfutils look for the debug file of this build ID."""
    return f".build-id/{build_id[:2]}/{build_id[2:]}.debug"


def save(content: Content, directory: Path, build_id: str) -> Path:
    """Write a debug file to its place below DIRECTORY and give that place; the file there is never a partial one.

    A file of the same bytes is left alone, one of other bytes is replaced. Raise DestinationError when it cannot be
    written; whatever ends the writing, nothing is left behind, by a killed run until the next one writes there.
    """
    path = directory / debug_path(build_id)
    with _blamed_on(path):
        if _holds(path, content):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = temporary.unfinished(path.parent)
    try:
        with _blamed_on(path):
            stream = unfinished.open("xb", buffering=0)
        with stream:
            for chunk in content.chunks():
                with _blamed_on(path):
                    _write(stream, chunk)
        with _blamed_on(path):
            unfinished.replace(path)
    except BaseException:
        with suppress(OSError):  # it may never have been there; what happened first is what counts
            unfinished.unlink()
        raise
    return path


def _write(stream: FileIO, data: bytes) -> None:
    """Write all of DATA. Unbuffered: a buffer would fail once more when it is closed on a full disk."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _holds(path: Path, content: Content) -> bool:
    if not path.is_file() or path.stat().st_size != content.size:
        return False
    with path.open("rb") as stream:
        return not Content([Piece(File(stream), 0, content.size)]).differs(content)


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    """Turn an error of the operating system into one that names the file; what reads the source is not in here."""
    try:
        yield
    except OSError as error:
        raise DestinationError(f"{path} cannot be written: {error.strerror}") from error
