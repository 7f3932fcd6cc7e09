from __future__ import annotations

import tarfile

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from slimmer.tar_header import BLOCK, decode, encode, is_one_block, names, one_block

NAMES = st.one_of(
    st.binary(min_size=1, max_size=300), st.text("abc/.é", min_size=1, max_size=120).map(str.encode)
).filter(lambda raw: b"\0" not in raw)
KINDS = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
RECORDS = st.dictionaries(
    st.sampled_from(["mtime", "SCHILY.xattr.user.a", "SCHILY.xattr.security.capability"]), st.binary(max_size=120)
)


def by_tarfile(
    kind: bytes,
    name: bytes,
    link: bytes,
    mode: int,
    owner: tuple[int, int],
    size: int,
    mtime: int,
    device: tuple[int, int] | None,
    records: dict[str, bytes],
) -> bytes:
    """Give the header that the standard library writes of the same."""
    member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    member.type, member.linkname, member.mode = kind, link.decode("utf-8", "surrogateescape"), mode
    (member.uid, member.gid), member.size, member.mtime = owner, size, mtime
    member.devmajor, member.devminor = device or (0, 0)
    member.pax_headers = {key: value.decode("utf-8", "surrogateescape") for key, value in records.items()}
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@given(
    KINDS,
    NAMES,
    NAMES,
    st.integers(0, 0o7777),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**21 + 5)),
    st.integers(0, 2**40),
    st.integers(-10, 2**40),
    RECORDS,
)
@example(tarfile.REGTYPE, b"a" * 100, b"b" * 101, 0o644, (8**7 - 1, 8**7), 8**11 - 1, 8**11, {})
@example(tarfile.REGTYPE, b"a", b"", 0o644, (0, 0), 8**11, 0, {"k": b"v" * 90})
def test_a_header_is_what_the_standard_library_writes(
    kind: bytes,
    name: bytes,
    link: bytes,
    mode: int,
    owner: tuple[int, int],
    size: int,
    mtime: int,
    records: dict[str, bytes],
) -> None:
    """To the byte, whatever is in it: names that are not text, numbers that no field can say, records of any length."""
    device = (300, 70000) if kind == tarfile.CHRTYPE else None

    mine = encode(kind, name, link, mode, owner, size, mtime, device, records)

    assert mine == by_tarfile(kind, name, link, mode, owner, size, mtime, device, records)


@given(
    KINDS,
    st.text("ab/é", min_size=1, max_size=110),
    st.text("ab/é", max_size=110),
    st.integers(0, 0o7777),
    st.tuples(st.integers(0, 8**7), st.integers(0, 8**7)),
    st.integers(0, 8**11),
    st.integers(-1, 8**11),
)
@example(tarfile.DIRTYPE, "a" * 99, "b" * 99, 0o7777, (8**7 - 1, 8**7 - 1), 8**11 - 1, 8**11 - 1)
def test_an_ordinary_header_is_what_any_header_is(
    kind: bytes, name: str, link: str, mode: int, owner: tuple[int, int], size: int, mtime: int
) -> None:
    """Made in a quarter of the time, to the same bytes."""
    assume(is_one_block(name, link, owner, size, mtime))

    assert one_block(kind, name, link, mode, owner, size, mtime) == encode(
        kind, name.encode(), link.encode(), mode, owner, size, mtime, None, {}
    )


@given(
    KINDS,
    st.text("abc/é", min_size=1, max_size=60),
    st.text("ab/é", max_size=60),
    st.integers(0, 0o7777),
    st.integers(0, 8**7 - 1),
    st.integers(0, 8**11 - 1),
)
def test_an_ordinary_header_is_read_as_the_standard_library_does(
    kind: bytes, name: str, link: str, mode: int, number: int, size: int
) -> None:
    """The same facts, or none: what is not ordinary is left to it."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode, member.uid, member.gid = kind, link, mode, number, number
    member.mtime, member.size = size, size if kind == tarfile.REGTYPE else 0
    block = member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    theirs = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")

    mine = decode(block)

    if mine is None:
        assert kind not in {tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE}
        return
    for key in ("type", "linkname", "mode", "uid", "gid", "size", "mtime"):
        assert getattr(mine, key) == getattr(theirs, key), key
    assert mine.name.rstrip("/") == theirs.name.rstrip("/")


GOOD = tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    ("what", "block"),
    [
        ("short", GOOD[:-1]),
        ("zeros", bytes(BLOCK)),
        ("checksum", GOOD[:1] + b"x" + GOOD[2:]),
        ("GNU", tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT)),
        ("pax", tarfile.TarInfo("é").tobuf(tarfile.PAX_FORMAT)[:BLOCK]),
        ("base 256", GOOD[:108] + b"\x80" + bytes(7) + GOOD[116:]),
    ],
)
def test_what_is_not_ordinary_is_left_to_the_standard_library(what: str, block: bytes) -> None:
    """Damaged, of another format, or a header of a header."""
    assert decode(block) is None, what


@given(st.binary(min_size=100, max_size=100), st.binary(min_size=155, max_size=155))
@example(b"\xff" * 100, b"\xff" * 155)
def test_a_checksum_counts_every_byte(name: bytes, prefix: bytes) -> None:
    """Of names that are anything; one more or less is refused."""
    block = name + GOOD[100:148] + b" " * 8 + GOOD[156:345] + prefix + GOOD[500:]

    assert decode(block[:148] + b"%06o\0 " % sum(block) + block[156:]) is not None
    assert decode(block[:148] + b"%06o\0 " % (sum(block) + 1) + block[156:]) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", {}),
        (b"9 path=a\n16 linkpath=b=\n\n", {"path": "a", "linkpath": "b=\n"}),
        ("11 path=é\n".encode()[:-1], None),
        ("11 path=é\n".encode(), {"path": "é"}),
        (b"9 path=\xff\n", None),
        (b"9 path=\0\n", None),
        (b"8 path=\n", None),
        (b"9 path=a\n11 mtime=1\n", None),
        (b"11 mtime=1\n", None),
        (b"99 path=a\n", None),
        (b"0 path=a\n", None),
        (b"1 path=a\n", None),
        (b"-9 path=a\n", None),
        (b"path=a\n", None),
        (b"9" * 5000 + b" path=a\n", None),
    ],
)  # fmt: skip
def test_records_of_names_alone(data: bytes, expected: dict[str, str] | None) -> None:
    """Whatever else there is, or is not as it should be, is left to the standard library."""
    assert names(data) == expected


def test_a_prefix_is_the_begin_of_a_name() -> None:
    """As ustar splits names of more than 100 bytes."""
    name = "d" * 90 + "/" + "f" * 90
    block = tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT)

    member = decode(block)

    assert member is not None
    assert member.name == name
