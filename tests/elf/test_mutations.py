"""Objects and archives that are damaged in every way: kept, or slimmed right. tests/hard/fuzz.py tries a hundred thousand."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from slimmer.blobs import ZEROS
from slimmer.content import Content
from slimmer.elf import layout, shared
from slimmer.elf.linking.dynamic import read_dynamic
from slimmer.elf.object import PT_LOAD, parse
from slimmer.errors import ElfError
from slimmer.pieces import Piece

from judged import differences, judged
from mutations import mutated, subjects

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slimmer.elf.object import Object

    from mutations import Subject

HOW_MANY = 300


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    """Give what is mutated, made once."""
    return subjects(tmp_path_factory.mktemp("subjects"))


def test_mutated_objects_are_kept_or_slimmed_right(originals: list[Subject]) -> None:
    """No error but an ElfError, nothing that takes long, and no result that maps other bytes."""
    changed = 0

    for number in range(HOW_MANY):
        subject = originals[number % len(originals)]
        found = judged(subject, mutated(subject.data, f"0:{number}"), number=number)
        changed += found.changed
        assert not found.wrong, (number, subject.name)

    assert changed > HOW_MANY // 20  # or nothing was tried


def test_the_judge_sees_what_a_proof_would_let_through(
    originals: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a layout that spoils a loaded byte, and a proof that finds nothing, the judge does."""
    first = originals[0]

    laid_out = layout.without_dead_ranges

    def spoiled(elf: Object, *, keep_filler: bool = False) -> Content | None:
        made = laid_out(elf, keep_filler=keep_filler)
        assert made is not None
        code = next(segment for segment in parse(made).segments if segment.type == PT_LOAD and segment.flags & 1)
        return made.overlaid(code.offset + code.filesz - 1, b"\xcc")

    monkeypatch.setattr(layout, "without_dead_ranges", spoiled)
    monkeypatch.setattr(shared, "violations", lambda *_: [])
    monkeypatch.setattr(shared, "_proved", lambda *_: "nothing")

    found = judged(first, first.data)

    assert found.changed == 1
    assert any("maps other bytes" in sentence for sentence in found.wrong)


def test_the_judge_knows_a_program_header_from_another(compiled: Callable[..., Path]) -> None:
    """What it compares: types, addresses, sizes, alignment and bytes."""
    data = compiled("answer").read_bytes()
    elf = parse(Content.of(data))
    index = next(number for number, segment in enumerate(elf.segments) if segment.type == PT_LOAD)
    place = elf.header.phoff + index * elf.header.phentsize

    def with_segment(**more: int) -> bytes:
        packed = replace(elf.segments[index], **more).pack(elf.form)
        return data[:place] + packed + data[place + len(packed) :]

    assert list(differences(data, data)) == []
    assert list(differences(data, with_segment(memsz=1 << 20))) == [f"another program header {index}"]
    assert list(differences(data, with_segment(offset=8))) == [
        f"program header {index} moved by no multiple of its alignment"
    ]
    assert list(differences(data, with_segment(offset=4096))) == [f"program header {index} maps other bytes"]
    assert list(differences(data, with_segment(filesz=100))) == [
        f"program header {index} lost bytes that are no filler"
    ]


def test_names_without_end_are_not_held(compiled: Callable[..., Path], tmp_path: Path) -> None:
    """Symbols may share the tails of their names: as many as fit into twice the table are read, and no more."""
    source = "".join(f"int {'n' * 4000}{number}(void) {{ return {number}; }}\n" for number in range(1500))
    (tmp_path / "many.c").write_text(source)
    data = bytearray(compiled(str(tmp_path / "many"), name="many.so").read_bytes())
    elf = parse(Content.of(bytes(data)))
    assert read_dynamic(elf) is not None
    symbols, strings = (next(one for one in elf.sections if one.name == name) for name in (".dynsym", ".dynstr"))

    data[strings.offset + 1 : strings.offset + strings.size - 1] = b"n" * (strings.size - 2)
    for index in range(1, symbols.size // 24):
        start = symbols.offset + 24 * index
        data[start : start + 4] = (strings.size - 100_000 - index).to_bytes(4, "little")

    with pytest.raises(ElfError, match="has no end in the dynamic string table"):
        read_dynamic(parse(Content.of(bytes(data))))


@pytest.mark.parametrize(("count", "taken"), [(1 << 17, True), ((1 << 17) + 1, False)])
def test_more_sections_than_any_object_has_are_refused(count: int, taken: bool) -> None:  # noqa: FBT001
    """A hole of 64 MB is a million headers of sections, each of which would take five times its size in memory."""
    header = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64, 0, 64, 56, 0, 64, 0, 0)
    )
    first = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, count, 0, 0, 0, 0)
    content = Content([*Content.of(header + first).pieces, Piece(ZEROS, 0, 64 * (count - 1))])

    if taken:
        assert len(parse(content).sections) == count
    else:
        with pytest.raises(ElfError, match=f"{count} sections"):
            parse(content)
