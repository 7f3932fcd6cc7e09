from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimmer.content import Content
from slimmer.elf.archives import ar
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from pathlib import Path


def member(name: str, data: bytes = b"", **fields: str) -> bytes:
    """Give a member with its header, padded."""
    words = {"date": "1", "uid": "2", "gid": "3", "mode": "100644", "size": str(len(data)), "end": "`\n", **fields}
    header = (
        f"{name:<16}{words['date']:<12}{words['uid']:<6}{words['gid']:<6}{words['mode']:<8}{words['size']:<10}"
        f"{words['end']}"
    )
    assert len(header) == 60
    return header.encode() + data + b"\n" * (len(data) % 2)


def archive(*members: bytes) -> bytes:
    """Give an archive of members."""
    return ar.MAGIC + b"".join(members)


def index(*symbols: tuple[str, int], word: str = ">I") -> bytes:
    """Give the content of an index."""
    places = b"".join(struct.pack(word, place) for _, place in symbols)
    return struct.pack(word, len(symbols)) + places + b"".join(name.encode() + b"\0" for name, _ in symbols)


NAMES = b"a_name_longer_than_fifteen_bytes.o/\nanother_name_that_is_long.o/\n"


def test_members_have_names_places_and_fields() -> None:
    """Short names, long names and odd sizes: each member's bytes are where its header says."""
    found = ar.parse(
        Content.of(archive(member("//", NAMES), member("/0", b"first"), member("b.o/", b"2"), member("/36", b"third!")))
    )

    assert [each.name for each in found.members] == [
        "a_name_longer_than_fifteen_bytes.o",
        "b.o",
        "another_name_that_is_long.o",
    ]
    assert [found.data(each).read_at(0, 99) for each in found.members] == [b"first", b"2", b"third!"]
    assert [(each.date, each.uid, each.gid, each.mode) for each in found.members] == [(1, 2, 3, 0o100644)] * 3
    assert found.index is None


@pytest.mark.parametrize(("name", "word"), [("/", ">I"), ("/SYM64/", ">Q")])
def test_the_index_names_members(name: str, word: str) -> None:
    """An index of 32 or of 64 bits is the same list of symbols, each with the position of the member that defines it."""
    start = len(ar.MAGIC) + len(member(name, index(("one", 0), ("two", 0), word=word)))
    places = (start, start + len(member("a.o/", b"xy")))
    table = index(("one", places[1]), ("two", places[0]), word=word)

    found = ar.parse(Content.of(archive(member(name, table), member("a.o/", b"xy"), member("b.o/", b"z"))))

    assert found.index == ((b"one", 1), (b"two", 0))


def test_what_ar_writes_is_read(tmp_path: Path) -> None:
    """The archive of a real `ar` has the members and the symbols that `ar t` and `nm` print, duplicate names too."""
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "same.c").write_text(f"int in_{directory}(void) {{ return 1; }}")
        (tmp_path / directory / "a_name_of_more_than_fifteen_letters.c").write_text(f"int long_{directory};")
    objects = []
    for source in sorted(tmp_path.rglob("*.c")):
        objects.append(source.with_suffix(".o"))
        subprocess.run(["gcc", "-c", "-o", objects[-1], source], check=True)
    library = tmp_path / "lib.a"
    subprocess.run(["ar", "qcs", library, *objects], check=True)

    found = ar.parse(Content.of(library.read_bytes()))

    printed = subprocess.run(["ar", "t", library], check=True, capture_output=True, text=True).stdout.splitlines()
    assert [each.name for each in found.members] == printed == [path.name for path in objects]
    assert [found.data(each).read_at(0, 1 << 20) for each in found.members] == [path.read_bytes() for path in objects]
    assert found.index == ((b"long_one", 0), (b"in_one", 1), (b"long_two", 2), (b"in_two", 3))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "an empty file", id="zero bytes"),
        pytest.param(b"INPUT(-lncurses)\n", "a text", id="linker script"),
        pytest.param(b"\x7fELF\2\1\1" + bytes(60), "not an ar archive", id="object"),
        pytest.param(b"!<thin>\n", "a thin archive", id="thin"),
        pytest.param(archive(member("#1/8", b"name.o\0\0data")), "BSD", id="BSD's long name"),
        pytest.param(archive(member("__.SYMDEF", bytes(8))), "BSD", id="BSD's index"),
        pytest.param(archive(member("__.SYMDEF SORTED", bytes(8))), "BSD", id="BSD's sorted index"),
        pytest.param(archive(member("plain.o", b"x")), "not written in GNU's flavour", id="name without slash"),
        pytest.param(archive(member("/", index()), member("/", index())), "a second index", id="Windows' two indexes"),
        pytest.param(archive(member("a.o/"), member("/", index())), "does not stand first", id="late index"),
        pytest.param(archive(member("a.o/"), member("//", NAMES)), "does not stand before", id="late names"),
        pytest.param(archive(member("a.o/", b"abcd"))[:-2], "it ends within a member", id="truncated member"),
        pytest.param(archive(member("a.o/", b"abcd"))[:40], "within a member's header", id="truncated header"),
        pytest.param(archive(member("a.o/", end="xx")), "no member's header", id="no header"),
        pytest.param(archive(member("a.o/", size="")), "size of a member is not", id="no size"),
        pytest.param(archive(member("a.o/", size="-1")), "size of a member is not", id="negative size"),
        pytest.param(archive(member("a.o/", size="1_0")), "size of a member is not", id="size with underscore"),
        pytest.param(archive(member("a.o/", size="9999999999")), "truncated", id="huge size"),
        pytest.param(archive(member("a.o/", mode="8")), "mode of a member is not", id="mode not octal"),
        pytest.param(archive(member("/7", b"x")), "outside the table of long names", id="no table of names"),
        pytest.param(archive(member("//", NAMES), member("/99", b"x")), "outside the table", id="name outside"),
        pytest.param(archive(member("//", b"endless"), member("/0", b"x")), "has no end", id="name without end"),
        pytest.param(archive(member("//", b"../../etc/x.o/\n"), member("/0")), "is a path", id="path"),
        pytest.param(archive(member("../", b"x")), "is a path", id="parent directory"),
        pytest.param(archive(member("/", b"\0\0")), "fewer entries", id="short index"),
        pytest.param(archive(member("/", b"\xff" * 8)), "fewer entries", id="index with a huge count"),
        pytest.param(archive(member("/", index(("f", 8))[:-1])), "fewer names", id="index with too few names"),
        pytest.param(archive(member("/", index(("f", 4)))), "where none stands", id="index that names no member"),
    ],
)
def test_what_is_no_gnu_archive_is_named(data: bytes, words: str) -> None:
    """Every other flavour and every damage is an ElfError that says which."""
    with pytest.raises(ElfError, match=words):
        ar.parse(Content.of(data))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"BC\xc0\xde", "LLVM bitcode"),
        (b"\xde\xc0\x17\x0b", "LLVM bitcode"),
        (ar.MAGIC, "an archive itself"),
        (b"!<thin>\n", "an archive itself"),
        (b"go object linux amd64", "a Go object"),
        (b"", "not an ELF object"),
    ],
)
def test_members_that_are_no_objects_are_named(data: bytes, kind: str) -> None:
    """What stands in an archive instead of an object is named in the reason to keep it."""
    assert ar.kind(Content.of(data)) == kind


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4))
def test_mutated_archives_raise_nothing_else(edits: list[tuple[int, bytes]]) -> None:
    """Whatever is written over an archive, the answer is an archive whose members lie within the file, or an ElfError."""
    start = len(ar.MAGIC) + len(member("/", index(("f", 0)))) + len(member("//", NAMES))
    data = bytearray(
        archive(member("/", index(("f", start))), member("//", NAMES), member("/0", b"ELF"), member("b/", b"x"))
    )
    for place, patch in edits:
        data[place : place + len(patch)] = patch
    content = Content.of(bytes(data))

    try:
        found = ar.parse(content)
    except ElfError as error:
        assert str(error)
        return
    assert all(found.data(each).size == each.size for each in found.members)
