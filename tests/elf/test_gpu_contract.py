from __future__ import annotations

import random
import re
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimmer.content import Content
from slimmer.elf.gpu.choice import Wanted
from slimmer.elf.gpu.compaction import areas
from slimmer.elf.gpu.fatbin import CUBIN, PTX
from slimmer.elf.gpu_contract import violations
from slimmer.elf.object import PT_LOAD, Object, parse
from slimmer.elf.pruned import prune
from slimmer.errors import ElfError

from fatbins import container, cubins, digests, entry, linked, loaded_containers
from handmade import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

H100 = Wanted(frozenset({90}))
HELD = [cubins("70", "80", "90", size=8192), cubins("80", "90", "100", size=8200)]

Pair = tuple[Content, Content]


@pytest.fixture
def pair(opened: Callable[[Path], Content], tmp_path: Path) -> Pair:
    """Give a library and what pruning makes of it."""
    before = opened(linked(tmp_path, HELD))
    made = prune(parse(before), H100, "amd64")
    assert made is not None
    return before, made[0]


def test_the_library_itself_is_no_violation_of_keeping_all(pair: Pair) -> None:
    """Nothing gone is right where nothing may go, and wrong where something should have."""
    before, after = pair

    assert violations(before, before, None) == []
    assert violations(before, after, H100) == []
    assert violations(before, after, None) != []
    assert violations(before, before, H100) != []


def test_other_gpus_were_meant(pair: Pair) -> None:
    """What was made for one GPU is not what another one needs."""
    assert any("does not hold what it held" in each for each in violations(*pair, Wanted(frozenset({80}))))


def _section(elf: Object, name: str) -> int:
    found = elf.section_named(name)
    assert found is not None
    return found.offset


def _load(elf: Object, number: int) -> int:
    """Give where the program header of the NUMBERth loaded segment is."""
    return elf.header.phoff + 56 * [index for index, each in enumerate(elf.segments) if each.type == PT_LOAD][number]


def _behind(elf: Object) -> int:
    """Give which loaded segment begins behind the hole."""
    loads = [each for each in elf.segments if each.type == PT_LOAD]
    return next(index for index in range(1, len(loads)) if loads[index].flags == loads[index - 1].flags)


HARM = [
    pytest.param(lambda elf: (_section(elf, ".text"), b"\xcc"), "is loaded at", id="code"),
    pytest.param(lambda elf: (_section(elf, ".dynstr") + 1, b"\x7f"), "is loaded at", id="a name"),
    pytest.param(lambda elf: (_section(elf, ".eh_frame") + 9, b"\x7f"), "is loaded at", id="behind the hole"),
    pytest.param(lambda elf: (_section(elf, ".nvFatBinSegment"), b"\0"), "is loaded at", id="a record's magic"),
    pytest.param(
        lambda elf: (_section(elf, ".nvFatBinSegment") + 9, b"\x7f"), "different containers", id="a record's pointer"
    ),
    pytest.param(lambda elf: (_section(elf, ".nv_fatbin") + 200, b"\x7f\x7f"), "what it held", id="machine code"),
    pytest.param(lambda elf: (_section(elf, ".nv_fatbin") + 16, b"\1"), "what it held", id="a kind"),
    pytest.param(lambda elf: (_section(elf, ".nv_fatbin"), b"\0"), "no container", id="a container's magic"),
    pytest.param(
        lambda elf: (_load(elf, _behind(elf)) + 17, b"\x77"), "mapped otherwise|order", id="an address behind the hole"
    ),
    pytest.param(
        lambda elf: (_load(elf, _behind(elf)) + 9, b"\0"), "is loaded at|leads elsewhere", id="a place behind the hole"
    ),
    pytest.param(
        lambda elf: (_load(elf, _behind(elf)) + 4, b"\7"), "loaded otherwise", id="what may be done behind the hole"
    ),
    pytest.param(
        lambda elf: (_load(elf, _behind(elf)) + 48, struct.pack("<Q", 1 << 21)), "loaded otherwise", id="alignment"
    ),
    pytest.param(lambda elf: (_load(elf, 0) + 32, struct.pack("<Q", 0x100)), "number of bytes|outside", id="a length"),
    pytest.param(lambda _: (24, b"\x10"), "ELF header", id="the entry point"),
    pytest.param(lambda _: (32, struct.pack("<Q", 64)), ".", id="the old program headers"),
    pytest.param(lambda elf: (elf.header.shoff + 64 * 2 + 8, b"\7"), "another header", id="a section's flags"),
]


@pytest.mark.parametrize(("harm", "words"), HARM)
def test_harm_is_seen(harm: Callable[[Object], tuple[int, bytes]], words: str, pair: Pair) -> None:
    """Each way in which the result could be wrong is said."""
    before, after = pair
    found = violations(before, after.overlaid(*harm(parse(after))), H100)

    assert found
    assert re.search(words, "; ".join(found)), found


def test_two_pointers_that_changed_places(pair: Pair) -> None:
    """A record that leads to another container than before is seen, although all bytes are there."""
    before, after = pair
    (area,) = areas(parse(after))
    first, second = (reference for reference in area.references if reference is not None)
    words = [after.read_at(reference.places[0], 8) for reference in (first, second)]
    for reference, word in zip((first, second), reversed(words), strict=True):
        for place in reference.places:
            after = after.overlaid(place, word)

    assert any("does not lead to it" in each for each in violations(before, after, H100))


def test_any_byte(pair: Pair) -> None:
    """Of 400 bytes that are loaded, wherever they are, none can change without a violation."""
    before, after = pair
    elf = parse(after)
    loaded = [each for each in elf.segments if each.type == PT_LOAD and each.filesz]
    (area,) = areas(elf)
    chance = random.Random(8)  # noqa: S311 - the same bytes each time
    for _ in range(400):
        segment = chance.choice(loaded)
        at = segment.offset + chance.randrange(segment.filesz)
        hole = area.section.offset + area.section.size <= at < elf.section_named(".eh_frame_hdr").offset  # type: ignore[union-attr]
        if at < 64 or hole:
            continue
        changed = after.overlaid(at, bytes([after.read_at(at, 1)[0] ^ 0x55]))
        assert violations(before, changed, H100), hex(at)


CODE = st.tuples(
    st.sampled_from([CUBIN, CUBIN, PTX, 8]),
    st.sampled_from(["70", "75", "80", "86", "90", "90a", "100", "120"]),
    st.integers(0, 900),
)
CONTAINERS = st.lists(st.lists(CODE, min_size=1, max_size=6), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONTAINERS, st.sets(st.sampled_from([70, 80, 86, 90, 103, 121]), min_size=1), st.booleans())
def test_random_libraries(
    opened: Callable[[Path], Content],
    tmp_path: Path,
    held: list[list[tuple[int, str, int]]],
    gpus: set[int],
    ptx: object,
) -> None:
    """Whatever containers a library holds: it is kept with a reason, or proved, loads, and every record is right."""
    data = [container(*(entry(kind, arch, 8 * size) for kind, arch, size in each)) for each in held]
    library = linked(tmp_path, data)
    wanted = Wanted(frozenset(gpus), keep_ptx=bool(ptx))
    try:
        made = prune(parse(opened(library)), wanted, "amd64")
    except ElfError as error:
        assert "less than" in str(error)
        return
    if made is None:
        return
    path = save(made[0], tmp_path / "pruned.so")
    elf = parse(opened(path))
    (area,) = areas(elf)
    parts = [elf.content.read_at(each.start, each.size) for each in area.containers]

    assert loaded_containers(path, len(held)) == digests(parts)
    assert prune(elf, wanted, "amd64") is None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_libraries(pair: Pair, data: st.DataObject) -> None:
    """A library with any bytes changed is kept with a sentence or pruned with a proof; nothing else is raised."""
    before, _ = pair
    elf = parse(before)
    names = (".nv_fatbin", ".nvFatBinSegment", ".rela.dyn", ".dynamic", ".dynsym", "")
    for _ in range(data.draw(st.integers(1, 4))):
        section = elf.section_named(data.draw(st.sampled_from(names)))
        start, size = (
            (elf.header.shoff, 64 * len(elf.sections))
            if section is None or not section.size
            else (section.offset, section.size)
        )
        at = start + data.draw(st.integers(0, size - 8)) // 8 * 8
        word = data.draw(
            st.one_of(st.binary(min_size=8, max_size=8), st.integers(0, 300000).map(lambda n: struct.pack("<Q", n)))
        )
        before = before.overlaid(at, word)
    try:
        made = prune(parse(before), H100, "amd64")
    except ElfError as error:
        assert str(error)
        return
    if made is not None:
        assert violations(before, made[0], H100) == []
