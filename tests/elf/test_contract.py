from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimmer.content import Content
from slimmer.elf import readers
from slimmer.elf.contract import violations
from slimmer.elf.layout import without_dead_ranges
from slimmer.elf.object import PT_DYNAMIC, PT_LOAD, Object, parse
from slimmer.errors import ElfError

from loading import call, patchelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[[Path], Content]
    Compile = Callable[..., Path]


@pytest.fixture
def pair(compiled: Compile, opened: Open) -> tuple[Object, Object]:
    """Give a library and its slimmed self."""
    before = parse(opened(compiled("answer", "-g")))
    after = without_dead_ranges(before)
    assert after is not None
    return before, parse(Content.of(after.read_at(0, after.size)))


def test_the_slimmed_library_keeps_the_contract(pair: tuple[Object, Object]) -> None:
    """What layout.py writes is proved, by bytes and not by where they lie."""
    assert violations(pair[0].content, pair[1].content) == []


def _segment_bytes(after: Object) -> Content:
    segment = next(segment for segment in after.segments if segment.type == PT_LOAD and segment.flags & 1)
    return after.content.overlaid(segment.offset + 16, b"\xcc")


def _segment_field(after: Object, **changes: int) -> Content:
    index = next(number for number, segment in enumerate(after.segments) if segment.type == PT_LOAD and number)
    changed = replace(after.segments[index], **changes)
    return after.content.overlaid(after.header.phoff + index * after.header.phentsize, changed.pack(after.form))


def _entry(after: Object) -> Content:
    return after.content.overlaid(0, replace(after.header, entry=after.header.entry + 4).pack(after.form))


def _without_payload(after: Object) -> Content:
    section = after.section_named("pydata")
    assert section is not None
    gone = section._replace(type=0, size=0)
    return after.content.overlaid(after.header.shoff + section.index * after.header.shentsize, gone.pack(after.form))


def _other_payload(after: Object) -> Content:
    section = after.section_named("pydata")
    assert section is not None
    return after.content.overlaid(section.offset, b"N")


def _shifted_link(after: Object) -> Content:
    section = after.section_named(".dynsym")
    assert section is not None
    changed = section._replace(link=section.link + 1)
    return after.content.overlaid(after.header.shoff + section.index * after.header.shentsize, changed.pack(after.form))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        pytest.param(_segment_bytes, "the bytes of segment", id="code overwritten (BOLT and GNU strip 2.40)"),
        pytest.param(lambda after: _segment_field(after, filesz=0, memsz=0), "program header", id="segment emptied"),
        pytest.param(
            lambda after: _segment_field(after, offset=0x1238), "no longer aligned", id="misaligned (numpy 2)"
        ),
        pytest.param(lambda after: _segment_field(after, vaddr=0x9000000), "program header", id="address moved"),
        pytest.param(_entry, "ELF header", id="entry point moved"),
        pytest.param(_without_payload, "section pydata is gone", id="payload removed (eu-strip on PyInstaller)"),
        pytest.param(_other_payload, "section pydata has other bytes", id="payload changed"),
        pytest.param(_shifted_link, "section .dynsym has another header", id="index shifted"),
        pytest.param(
            lambda after: after.content.slice(0, after.content.size // 2), "cannot be read back", id="cut short"
        ),
        pytest.param(lambda _: Content.of(b""), "cannot be read back", id="empty (eu-strip on ill-formed ELF)"),
    ],
)
def test_each_breakage_is_a_violation(
    pair: tuple[Object, Object], break_it: Callable[[Object], Content], words: str
) -> None:
    """Every way in which a strip program was seen to break a file is noticed, and named."""
    found = violations(pair[0].content, break_it(pair[1]))

    assert found
    assert any(words in sentence for sentence in found), found


def test_what_shares_a_page_with_a_segment_is_its_business(pair: tuple[Object, Object]) -> None:
    """An empty segment maps the page that its p_offset lies in: another page there would cover what stood in memory."""
    before, _ = pair
    last = max((segment for segment in before.segments if segment.type == PT_LOAD), key=lambda segment: segment.vaddr)
    index = before.segments.index(last)
    # The last segment without bytes, right behind the code's, in the same page of memory.
    code = next(segment for segment in before.segments if segment.type == PT_LOAD and segment.flags & 1)
    end = code.offset + code.filesz
    empty = replace(last, filesz=0, offset=end, vaddr=code.vaddr + code.filesz, align=0x1000, memsz=64)
    place = before.header.phoff + index * before.header.phentsize
    was = before.content.overlaid(place, empty.pack(before.form))
    now = before.content.overlaid(place, replace(empty, offset=end % 0x1000).pack(before.form))

    assert violations(was, was) == []
    assert f"the bytes of segment {index} changed" in violations(was, now)


def test_a_segment_with_more_bytes_than_it_loads_is_refused(pair: tuple[Object, Object]) -> None:
    """No linker writes such, and loaders differ in what they make of it."""
    index = next(number for number, segment in enumerate(pair[0].segments) if segment.type == PT_LOAD and number)
    changed = replace(pair[0].segments[index], memsz=1)
    place = pair[0].header.phoff + index * pair[0].header.phentsize

    with pytest.raises(ElfError, match="more bytes than it loads"):
        without_dead_ranges(parse(pair[0].content.overlaid(place, changed.pack(pair[0].form))))


def test_appended_data_is_a_violation(pair: tuple[Object, Object]) -> None:
    """A zip archive behind the object is lost by every strip program; one byte is patchelf's and nothing."""
    before, after = pair
    one_byte = Content.of(before.content.read_at(0, before.content.size) + b"\0")
    archive = Content.of(before.content.read_at(0, before.content.size) + b"PK\3\4")

    assert violations(one_byte, after.content) == []
    assert "4 bytes are appended" in violations(archive, after.content)[0]


def test_the_two_readers_see_a_changed_dynamic_table(pair: tuple[Object, Object]) -> None:
    """pyelftools and LIEF each notice alone what the clauses would have noticed before them."""
    before, after = pair
    dynamic = next(segment for segment in after.segments if segment.type == PT_DYNAMIC)
    changed = after.content.overlaid(dynamic.offset + 8, b"\x07")

    found = readers.disagreements(before.content, changed)

    assert any(sentence.startswith("pyelftools") for sentence in found)
    assert any(sentence.startswith("LIEF") for sentence in found)


def test_the_readers_agree_that_nothing_changed(pair: tuple[Object, Object]) -> None:
    """Neither raises a false alarm on a slimmed library."""
    assert readers.disagreements(pair[0].content, pair[1].content) == []


def test_gnu_strip_is_judged_by_what_it_did(compiled: Compile, opened: Open, tmp_path: Path) -> None:
    """A library that GNU strip only took dead sections out of passes; it may number those that are not loaded anew."""
    library = compiled("answer", "-g")
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, library], check=True)

    assert violations(opened(library), opened(stripped)) == []


def test_gnu_strip_on_a_patchelfed_library_is_refused(compiled: Compile, opened: Open, tmp_path: Path) -> None:
    """What strip 2.40 makes of a library that was edited several times does not load, and does not pass."""
    library = compiled("answer", "-g3")
    for number in range(3):
        rpath = "$ORIGIN/" + "r" * 200 * (number + 1)
        subprocess.run([patchelf(), "--set-rpath", rpath, library], check=True)
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, library], check=True)

    # Debian 13's strip makes one that loads, by moving what this proof wants unmoved.
    assert violations(opened(library), opened(stripped)) or call(stripped, "answer") == 42


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_mutated_objects_never_end_a_run(pair: tuple[Object, Object], edits: list[tuple[int, bytes]]) -> None:
    """Whatever is written over the headers, the answer is a proved object, nothing, or an ElfError; never another exception."""
    before = pair[0]
    data = bytearray(before.content.read_at(0, before.content.size))
    tables = [
        *range(64),
        *range(before.header.shoff, len(data)),
        *range(before.header.phoff, before.header.phoff + 600),
    ]
    for place, patch in edits:
        start = tables[place % len(tables)]
        data[start : start + len(patch)] = patch[: len(data) - start]
    content = Content.of(bytes(data))

    try:
        elf = parse(content)
        slimmed = without_dead_ranges(elf)
    except ElfError as error:
        assert str(error)
        return
    if slimmed is not None:
        # The most that it can grow by is a section header table that something else claims to lie on.
        assert slimmed.size <= content.size + 8 + len(elf.sections) * elf.header.shentsize
        violations(content, slimmed)
