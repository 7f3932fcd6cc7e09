"""Real objects, damaged always in the same way: field by field where their own headers lead, and blindly."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal

import fatbins
from filled import edited, source_with_many_symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SOURCES = Path(__file__).parent.parent.parent / "fixtures" / "elf"
_SYSTEM = Path("/usr/lib/x86_64-linux-gnu")
_CROSS = {
    "386": "i686-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "arm": "arm-linux-gnueabihf",
}
_SMALL = 150_000
_OF_THE_SYSTEM = 4
_FIELDS = {64: "HHIQQQIHHHHHH", 32: "HHIIIIIHHHHHH"}
_SEGMENT = {64: (4, 4, 8, 8, 8, 8, 8, 8), 32: (4,) * 8}
_SECTION = {64: (4, 4, 8, 8, 8, 8, 4, 4, 8, 8), 32: (4,) * 10}
_SYMBOL = {64: (4, 1, 1, 2, 8, 8), 32: (4, 4, 4, 1, 1, 2)}
_PT_DYNAMIC, _SHT_TABLES = 2, {2, 11}
_MEMBER = (16, 12, 6, 6, 8, 10, 2)
_CONTAINER, _ENTRY = (4, 2, 2, 8), (2, 2, 4, 8, 4, 4, 2, 2, 4, 4, 4, 8, 8, 8)


@dataclass(frozen=True, slots=True)
class Subject:
    """A file as a compiler made it; an archive, or an object for this architecture."""

    name: str
    data: bytes
    architecture: str = "amd64"


def subjects(directory: Path) -> list[Subject]:
    """Give what is mutated: objects compiled in DIRECTORY, one that patchelf edited, with GPU code, of the system."""
    found = [
        Subject(f"answer for {name}", _compiled(directory, compiler, "answer"), name) for name, compiler in _compilers()
    ]
    sources = ("watched", "linkage_defines", "linkage_extension")
    found += [Subject(source, _compiled(directory, "gcc", source)) for source in sources]
    script = directory / "versions.map"
    script.write_text("OLD { global: ans*; local: *; };\nNEW { } OLD;\n")
    found.append(
        Subject(
            "versions", _compiled(directory, "gcc", "answer", f"-Wl,--version-script={script}", "-Wl,--hash-style=sysv")
        )
    )
    found.append(Subject("edited by patchelf", _edited(directory)))
    gpu = fatbins.linked(
        directory, [fatbins.cubins("75", "80", "90"), fatbins.cubins("80", "90")], parts=[fatbins.cubins("75", "90")]
    )
    found.append(Subject("GPU code", gpu.read_bytes()))
    found.append(Subject("archive", _archive(directory)))
    system = sorted(
        path
        for path in _SYSTEM.glob("*.so.*")
        if path.is_file() and not path.is_symlink() and path.stat().st_size < _SMALL
    )
    chosen = Random(1).sample(system, min(_OF_THE_SYSTEM, len(system)))  # noqa: S311 - the same ones each time
    return [*found, *(Subject(path.name, path.read_bytes()) for path in chosen)]


def _compilers() -> list[tuple[str, str]]:
    cross = [(name, f"{triple}-gcc") for name, triple in _CROSS.items()]
    return [("amd64", "gcc"), *(pair for pair in cross if shutil.which(pair[1]))]


def _compiled(directory: Path, compiler: str, source: str, *flags: str) -> bytes:
    result = directory / f"{source}.so"
    words: list[str | Path] = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-g",
        *flags,
        "-o",
        result,
        _SOURCES / f"{source}.c",
    ]
    subprocess.run(words, check=True, capture_output=True)
    return result.read_bytes()


def _edited(directory: Path) -> bytes:
    source, result = directory / "many.c", directory / "many.so"
    source.write_text(source_with_many_symbols((_SOURCES / "answer.c").read_text()))
    subprocess.run(["gcc", "-shared", "-fPIC", "-g", "-o", result, source], check=True, capture_output=True)
    edited(result, 3)
    return result.read_bytes()


def _archive(directory: Path) -> bytes:
    names = ["archive_parts", "archive_far"]
    for name in names:
        words: list[str | Path] = [
            "gcc",
            "-c",
            "-g",
            "-ffunction-sections",
            "-o",
            directory / f"{name}.o",
            _SOURCES / f"{name}.c",
        ]
        subprocess.run(words, check=True, capture_output=True)
    result = directory / "x.a"
    result.unlink(missing_ok=True)
    subprocess.run(["ar", "crD", result, *(directory / f"{name}.o" for name in names)], check=True, capture_output=True)
    return result.read_bytes()


def mutated(data: bytes, seed: str) -> bytes:
    """Give DATA with one to eight changes, the same for the same SEED."""
    random = Random(seed)  # noqa: S311 - what is wanted is that it can be repeated
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        # Half of the changes are to fields, each alone in an otherwise sound file most of the time.
        change = random.choice((_set_field, _set_field, _set_field, _copy_field, *_BLIND))
        change(changed, random)
        if not changed:
            break
    return bytes(changed)


def _set_field(data: bytearray, random: Random) -> None:
    """Give a field a value that means something to whoever reads it."""
    place = _any_field(data, random)
    if place is not None:
        start, size = place
        order = _order(data)
        old = int.from_bytes(data[start : start + size], order)
        limit = 1 << 8 * size
        value = random.choice((
            0, 1, 2, 3, 6, 7, 8, 11, limit - 1, limit - 2, limit // 2, limit // 2 - 1, old + 1, old - 1, old + 8, old - 8,
            old + 0x1000, old - 0x1000, old * 2, old // 2, old ^ 1 << random.randrange(8 * size), len(data), len(data) - 1,
            len(data) - old, 0xFFFF, 0xFFF1, 0xFF00, 0x6FFFFEF5, random.randrange(limit), random.randrange(max(len(data), 1)),
        ))  # fmt: skip
        data[start : start + size] = (value % limit).to_bytes(size, order)


def _copy_field(data: bytearray, random: Random) -> None:
    """Give a field the value of another of its size: two tables in one place, a section within another."""
    first, second = _any_field(data, random), _any_field(data, random)
    if first is not None and second is not None and first[1] == second[1]:
        data[first[0] : sum(first)] = data[second[0] : sum(second)]


def _flip(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _scribble(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    size = random.choice((1, 2, 4, 8, 16, 64))
    data[start : start + size] = random.choice((bytes(size), b"\xff" * size, random.randbytes(size)))[
        : len(data) - start
    ]


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def _take_out(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    del data[start : start + random.choice((1, 8, 64, 4096))]


def _put_in(data: bytearray, random: Random) -> None:
    start, other = random.randrange(len(data)), random.randrange(len(data))
    data[start:start] = data[other : other + random.choice((1, 8, 64, 4096))]


def _append(data: bytearray, random: Random) -> None:
    data += random.randbytes(random.choice((1, 2, 100, 5000)))


_BLIND: tuple[Callable[[bytearray, Random], None], ...] = (_flip, _scribble, _cut, _take_out, _put_in, _append)


def _order(data: bytearray | bytes) -> Literal["little", "big"]:
    return "big" if data[5:6] == b"\x02" else "little"


def _any_field(data: bytearray, random: Random) -> tuple[int, int] | None:
    kinds = [found for found in _fields(bytes(data)) if found]
    return random.choice(random.choice(kinds)) if kinds else None


def _fields(data: bytes) -> Iterator[list[tuple[int, int]]]:
    """Give the places and lengths of the fields of each kind of header, as far as the headers lead to them."""
    if data.startswith(b"!<arch>\n"):
        starts = [match.start() - 58 for match in re.finditer(rb"`\n", data) if match.start() >= 58]
        yield [place for start in starts for place in _row(start, _MEMBER)]
        starts = [match.start() for match in re.finditer(rb"\x7fELF", data)]
        yield [place for start in starts for place in _row(start + 16, (2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2))]
        return
    bits = 64 if data[4:5] == b"\x02" else 32
    form = struct.Struct((">" if _order(data) == "big" else "<") + _FIELDS[bits])
    if len(data) < 16 + form.size:
        return
    yield [(4, 1), (5, 1), (6, 1), *_row(16, [struct.calcsize("<" + letter) for letter in _FIELDS[bits]])]
    _, _, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, _ = form.unpack_from(data, 16)
    segments = [phoff + number * phentsize for number in range(min(phnum, 64))]
    yield _within(data, (place for start in segments for place in _row(start, _SEGMENT[bits])))
    sections = [shoff + number * shentsize for number in range(min(shnum, 128))]
    yield _within(data, (place for start in sections for place in _row(start, _SECTION[bits])))
    order = _order(data)
    word = bits // 8

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    for start in segments:
        if number(start, 4) == _PT_DYNAMIC:
            at, size = (
                (number(start + 8, 8), number(start + 32, 8))
                if word == 8
                else (number(start + 4, 4), number(start + 16, 4))
            )
            yield _within(data, ((place, word) for place in range(at, at + min(size, 1024), word)))
    for start in sections:
        if number(start + 4, 4) in _SHT_TABLES:
            at = number(start + (24 if word == 8 else 16), word)
            yield _within(
                data, (place for index in range(64) for place in _row(at + index * sum(_SYMBOL[bits]), _SYMBOL[bits]))
            )
    containers = [match.start() for match in re.finditer(rb"\x50\xed\x55\xba", data)]
    yield _within(data, (place for start in containers for place in _row(start, (*_CONTAINER, *_ENTRY))))


def _row(start: int, sizes: tuple[int, ...] | list[int]) -> Iterator[tuple[int, int]]:
    for size in sizes:
        yield start, size
        start += size


def _within(data: bytes, places: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(start, size) for start, size in places if start >= 0 and start + size <= len(data)]
