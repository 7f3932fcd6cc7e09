"""What slimmer makes of an object that nobody vouches for, and a judgement of it that knows none of slimmer's code.

Whatever a file holds, slimmer gives a result or an ElfError, in time. A result maps, by the small reader below, the
bytes to the addresses that the file mapped; and where ld.so loads one, it loads the other and says the same.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from slimmer.content import Content
from slimmer.elf import debugfile, pruned, shared
from slimmer.elf.gpu.choice import Wanted
from slimmer.elf.object import is_elf, parse
from slimmer.errors import ElfError
from slimmer.inode import Inode, Kind
from slimmer.rootfs import Rootfs
from slimmer.rules.strip import rule

from planning import plan_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from mutations import Subject

_Made = TypeVar("_Made")
TIME_LIMIT = 10.0
"""Seconds for everything that is done with one object."""
_LOADER = "/lib64/ld-linux-x86-64.so.2"
_TRACE = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_WARN": "yes", "LD_BIND_NOW": "1", "PATH": "/usr/bin:/bin"}
_LIMITS = "ulimit -v 2000000 && ulimit -t 10 && ulimit -c 0 && exec timeout 10 "
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_FILLER = re.compile(rb"(\0|X{8,}|Z{8,})*")
_PT_LOAD, _SHF_ALLOC, _SHT_NOBITS = 1, 2, 8
_MEMORY = 8 << 20
_GPU = {".nv_fatbin", "__nv_relfatbin", ".nvFatBinSegment"}


@dataclass(slots=True)
class Judgement:
    """What is wrong with what slimmer did with a file, how often it changed it, and the seconds that it took."""

    wrong: list[str] = field(default_factory=list)
    changed: int = 0
    seconds: float = 0.0


def judged(subject: Subject, data: bytes, *, number: int = 0) -> Judgement:
    """Give what becomes of DATA, a mutation of SUBJECT; NUMBER chooses among what slimmer may be asked to do."""
    found = Judgement()
    started = time.monotonic()
    found.wrong += [*_of_strip(subject, data, found), *_of_the_rest(subject, data, found, recompress=bool(number % 2))]
    found.seconds = time.monotonic() - started
    if found.seconds > TIME_LIMIT:
        found.wrong.append(f"it took {found.seconds:.1f} s")
    return found


def _of_strip(subject: Subject, data: bytes, found: Judgement) -> Iterator[str]:
    """Have the rule look at the file as one of an image, with a library that needs it and one that it may need."""
    name = "usr/lib/x.a" if subject.name == "archive" else "usr/lib/libanswer.so"
    parts = name.split("/")
    inodes = {"/".join(parts[:count]): Inode(Kind.DIRECTORY, 0o755) for count in range(len(parts))}
    inodes[name] = Inode(Kind.FILE, 0o644, content=Content.of(data))
    inodes["usr/lib/original.so"] = Inode(Kind.FILE, 0o644, content=Content.of(subject.data))
    least, shared.MIN_GAIN = shared.MIN_GAIN, 1  # or the smallest objects would never come to the proof
    try:
        plan = plan_for(rule, Rootfs.of(inodes), architecture=subject.architecture)
    except Exception as error:  # noqa: BLE001 - whatever it is, it would end the run
        yield f"the rule raised {error!r}"
        return
    finally:
        shared.MIN_GAIN = least
    if any(change.path == name for change in plan.changes):
        found.changed += 1
        inode = plan.result.get(name)
        assert inode is not None
        assert inode.content is not None
        made = inode.content.read_at(0, inode.content.size)
        if subject.name == "archive":
            yield from _archive_differences(data, made)
        else:
            yield from differences(data, made)
            yield from _loading(data, made)


def _of_the_rest(subject: Subject, data: bytes, found: Judgement, *, recompress: bool) -> Iterator[str]:
    content = Content.of(data)
    try:
        if not is_elf(content):
            return
        elf = parse(content)
    except ElfError:
        return
    wanted = Wanted(frozenset({90}))
    made = yield from _tried("prune", lambda: pruned.prune(elf, wanted, subject.architecture, recompress=recompress))
    if made is not None:
        found.changed += 1
        yield from _differences_but(data, made[0].read_at(0, made[0].size), _GPU)
    yield from _tried("build_id", lambda: debugfile.build_id(elf))
    yield from _tried("debug_file", lambda: sum(map(len, debugfile.debug_file(elf).chunks())))


def _tried(what: str, call: Callable[[], _Made]) -> Generator[str, None, _Made | None]:
    try:
        return call()
    except ElfError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, it would end the run
        yield f"{what} raised {error!r}"
    return None


class Reader:
    """An object's headers as the System V gABI has them, for what comes out of slimmer: nothing is checked twice."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.wide = data[4] == 2
        order = "<" if data[5] == 1 else ">"
        fields = struct.unpack_from(order + ("HHIQQQIHHHHHH" if self.wide else "HHIIIIIHHHHHH"), data, 16)
        self.head = (data[:16], *fields[:4], *fields[6:10])
        self.phoff, shoff = fields[4:6]
        self.ehsize, self.phnum, shnum, shstrndx = fields[7], fields[9], *fields[11:]
        packing = struct.Struct(order + ("IIQQQQQQ" if self.wide else "IIIIIIII"))
        rows = [packing.unpack_from(data, self.phoff + index * packing.size) for index in range(self.phnum)]
        order_of = (0, 2, 5, 1, 3, 4, 6, 7) if self.wide else (0, 1, 4, 6, 2, 3, 5, 7)
        # type, offset, filesz, flags, vaddr, paddr, memsz, align
        self.segments = [tuple(row[index] for index in order_of) for row in rows]
        self.table = self.phoff, self.phoff + self.phnum * packing.size
        section = struct.Struct(order + ("IIQQQQIIQQ" if self.wide else "IIIIIIIIII"))
        count = shnum or (section.unpack_from(data, shoff)[5] if shoff else 0)
        headers = [section.unpack_from(data, shoff + index * section.size) for index in range(count)]
        start = headers[shstrndx][4] if shstrndx < len(headers) else 0
        # name, type, flags, addr, offset, size
        self.sections = [(self._name(start + row[0]), *row[1:6]) for row in headers]

    def _name(self, start: int) -> str:
        return self.data[start : self.data.find(b"\0", start)].decode("latin-1")

    def bytes(self, start: int, stop: int) -> bytes:
        """Give bytes of the file, with zeros where the ELF header and the program headers are."""
        part = bytearray(self.data[start:stop])
        for low, high in ((0, self.ehsize), self.table):
            low, high = max(low - start, 0), min(high - start, len(part))  # noqa: PLW2901 - within the part now
            if low < high:
                part[low:high] = bytes(high - low)
        return bytes(part)


def differences(before: bytes, after: bytes) -> Iterator[str]:
    """Give how what AFTER maps differs from what BEFORE maps, but for filler of patchelf's that became zeros."""
    old, new = Reader(before), Reader(after)
    if old.head != new.head or len(old.segments) != len(new.segments):
        yield "another ELF header"
        return
    for index, (was, now) in enumerate(zip(old.segments, new.segments, strict=True)):
        if (was[0], *was[3:]) != (now[0], *now[3:]):
            yield f"another program header {index}"
        elif was[2] and was[7] > 1 and (was[1] - now[1]) % was[7]:
            yield f"program header {index} moved by no multiple of its alignment"
        elif now[2] > was[2] or (now[2] < was[2] and was[0] != _PT_LOAD):
            yield f"program header {index} has another size in the file"
        elif old.bytes(was[1], was[1] + now[2]) != new.bytes(now[1], now[1] + now[2]):
            yield f"program header {index} maps other bytes"
        elif not _FILLER.fullmatch(before[was[1] + now[2] : was[1] + was[2]]):
            yield f"program header {index} lost bytes that are no filler"


def _differences_but(before: bytes, after: bytes, names: set[str]) -> Iterator[str]:
    """Give an address, outside the sections of these NAMES, at which a loader puts another byte."""
    old, new = Reader(before), Reader(after)
    first, second = _memory(old), _memory(new)
    if first is None or second is None:
        return
    for name, _, flags, address, _, size in old.sections:
        if name in names and flags & _SHF_ALLOC:
            first[address : address + size] = second[address : address + size] = bytes(size)
    wrong = next((place for place, pair in enumerate(zip_longest(first, second)) if pair[0] != pair[1]), None)
    if wrong is not None:
        yield f"another byte at address {wrong:#x}"


def _memory(elf: Reader) -> bytearray | None:
    """Give what the segments are in memory, None where that is far apart."""
    found = bytearray()
    for kind, offset, filesz, _, vaddr, _, memsz, _ in elf.segments:
        if kind == _PT_LOAD:
            if vaddr + memsz > _MEMORY:
                return None
            found.extend(bytes(max(vaddr + memsz - len(found), 0)))
            found[vaddr : vaddr + filesz] = elf.bytes(offset, offset + filesz)
    return found


def _archive_differences(before: bytes, after: bytes) -> Iterator[str]:
    """Give how the loaded sections of two archives' members differ, found by the members' magic numbers."""
    sides = []
    for data in (before, after):
        starts = [match.start() for match in re.finditer(rb"`\n\x7fELF", data)]
        readers = [Reader(data[start + 2 :]) for start in starts]
        sides.append([
            sorted((name, kind, size, b"" if kind == _SHT_NOBITS else each.data[offset : offset + size])
                   for name, kind, flags, _, offset, size in each.sections if flags & _SHF_ALLOC)
            for each in readers
        ])  # fmt: skip
    if sides[0] != sides[1]:
        yield "members with other loaded sections"


def _loading(before: bytes, after: bytes) -> Iterator[str]:
    """Have ld.so map and relocate both without running them, where it takes the first."""
    if before[4:6] != b"\x02\x01" or before[18:20] != b"\x3e\0":
        return
    was, now = _said(before), _said(after)
    if was[0] == 0 and was != now:
        yield f"ld.so said {was} and says {now}"


def _said(data: bytes) -> tuple[int, str]:
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(data)
        file.flush()
        Path(file.name).chmod(0o755)
        words = ["/bin/sh", "-c", _LIMITS + _LOADER + " " + file.name]
        done = subprocess.run(words, capture_output=True, env=_TRACE, check=False)
        said = (done.stdout + done.stderr).decode("latin-1").replace(file.name, "FILE")
    return done.returncode, _ADDRESS.sub("", said)
