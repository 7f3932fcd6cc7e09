from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimmer import tar_members
from slimmer.blobs import ZEROS
from slimmer.chunks import CHUNK
from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.flattening import flatten
from slimmer.inode import Inode, Kind
from slimmer.layer import read_layer
from slimmer.layer_writer import header, header_size, layer_chunks, layer_size
from slimmer.pieces import Piece

from handmade import data_of, directory, file, flattened, hard_link, make_tar, symlink

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.layer import Entry

NANOSECONDS = 1_600_000_000_123_456_789


def written(*entries: dict[str, Any]) -> tuple[bytes, dict[str, tarfile.TarInfo]]:
    """Give what is written for a layer of ENTRIES: the tar, and its members as tarfile reads them."""
    rootfs = flattened(list(entries))
    tar = b"".join(layer_chunks(rootfs.as_layer()))
    assert layer_size(rootfs.as_layer()) == len(tar)
    with tarfile.open(fileobj=io.BytesIO(tar)) as reader:
        return tar, {member.name: member for member in reader}


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(file("a", b"data", mode=0o4755, owner=(4294967293, 1)), id="setuid and the largest owner"),
        pytest.param(file("x" * 300, b"data"), id="long name"),
        pytest.param(file("d/" + "y" * 4000, b""), id="name of 4 KiB"),
        pytest.param(file("new\nline"), id="newline"),
        pytest.param(file(os.fsdecode(b"not\xffutf8"), b"1"), id="name that is not UTF-8"),
        pytest.param(symlink("link", "/absolute/" + "z" * 200), id="long absolute symlink"),
        pytest.param({"path": "null", "type": tarfile.CHRTYPE, "device": (300, 70000)}, id="device"),
        pytest.param({"path": "pipe", "type": tarfile.FIFOTYPE}, id="fifo"),
        pytest.param(directory("empty", mode=0o1777), id="sticky directory"),
        pytest.param(file("old", mtime=-1), id="before the epoch"),
        pytest.param(
            file("cap", pax={"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\udcff"}), id="binary xattr"
        ),
    ],
)
def test_what_is_read_is_written(entry: dict[str, Any]) -> None:
    """Whatever a layer says of a file comes out as it went in, and the same again from what was written."""
    once, members = written(entry)
    rootfs = flattened([entry])
    again = b"".join(layer_chunks(_reread(once)))

    assert again == once
    (path,) = [path for path, _ in rootfs.entries() if path == entry["path"]]
    member = members[path]
    assert (member.type, member.mode, member.linkname) == (
        entry.get("type", tarfile.REGTYPE),
        entry.get("mode", member.mode),
        entry.get("link", ""),
    )
    assert (member.uid, member.gid) == entry.get("owner", (0, 0))
    assert (member.devmajor, member.devminor) == entry.get("device", (0, 0))
    assert int(member.mtime) == entry.get("mtime", 1_600_000_000)
    for key, value in entry.get("pax", {}).items():
        assert member.pax_headers[key] == value


def _reread(tar: bytes) -> Any:

    return flatten([("again", read_layer(Content.of(tar), "again"))]).as_layer()


def test_nanoseconds_survive() -> None:
    """The mtime keeps its nanoseconds, which a float would lose."""
    _, members = written(file("a", pax={"mtime": "1600000000.123456789"}))

    assert members["a"].pax_headers["mtime"] == "1600000000.123456789"
    inode = flattened([file("a", pax={"mtime": "1600000000.123456789"})]).get("a")
    assert inode is not None
    assert inode.mtime == NANOSECONDS


def test_an_inherited_size_record_does_not_swallow_the_next_entry() -> None:
    """A PAX `size` record of the source says nothing about the content that is written (tarfile of Python 3.11.7)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("lib.so")
        info.size = 2000
        info.pax_headers = {"size": "2000"}
        tar.addfile(info, io.BytesIO(b"x" * 2000))
        tar.addfile(tarfile.TarInfo("next"))
    rootfs = flattened([])

    rootfs = flatten([("l", read_layer(Content.of(stream.getvalue()), "l"))])

    slimmed = rootfs.replaced(
        {inode: inode.but(content=Content.of(b"y" * 10)) for _, inode in rootfs.entries() if inode.size}
    )
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer_chunks(slimmed.as_layer())))) as reader:
        assert [(member.name, member.size) for member in reader] == [("lib.so", 10), ("next", 0)]


def test_a_hard_link_follows_its_file_and_carries_nothing() -> None:
    """The first name in order is the file; the others link to it."""
    _, members = written(file("z/data", b"12345"), hard_link("a/link", "z/data"))

    assert (members["a/link"].type, members["a/link"].size) == (tarfile.REGTYPE, 5)
    assert (members["z/data"].type, members["z/data"].linkname) == (tarfile.LNKTYPE, "a/link")


def test_sparse_files_are_read_whole(tmp_path: Path) -> None:
    """A GNU sparse file gets its holes back as zeros, in the order of its map."""
    with (tmp_path / "sparse").open("wb") as stream:
        stream.seek(1 << 20)
        stream.write(b"middle")
        stream.truncate(3 << 20)
    for flavour in (
        ["--format=gnu"],
        *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")),
    ):
        tar = subprocess.run(["tar", "-cS", *flavour, "-C", tmp_path, "sparse"], check=True, capture_output=True).stdout
        assert len(tar) < 1 << 20
        (entry,) = read_layer(Content.of(tar), "l")
        assert entry.inode is not None
        assert entry.inode.content is not None
        content = entry.inode.content
        assert content.size == 3 << 20
        assert content.read_at((1 << 20) - 1, 8) == b"\0middle\0"
        assert not any(content.read_at((1 << 20) + 6, 2 << 20))


@pytest.mark.parametrize(
    ("tar", "words"),
    [
        pytest.param(make_tar(file("../../evil")), "climbs out of the root", id="climbs out"),
        pytest.param(make_tar(file("a", b"12345" * 999))[:2048], "ends inside 'a'", id="cut short"),
        pytest.param(b"this is no tar" * 100, "not a tar that can be read", id="no tar"),
        pytest.param(
            make_tar(file("a", pax={"mtime": "soon"})), "not a tar that can be read|no number", id="mtime of words"
        ),
    ],
)
def test_a_damaged_layer_is_one_sentence(tar: bytes, words: str) -> None:
    """Bad input names the layer and the entry, and is never half a result."""
    with pytest.raises(SourceError, match=words) as caught:
        list(read_layer(Content.of(tar), "sha256:abc"))

    assert "sha256:abc" in str(caught.value)


def test_names_of_the_root_are_one() -> None:
    """`.`, `./x`, `/x` and `x//y` are names below the root."""
    rootfs = flattened([directory("."), file("./a"), file("/b"), file("c//d")])

    assert [path for path, _ in rootfs.entries()] == ["", "a", "b", "c", "c/d"]
    root = rootfs.get("")
    assert root is not None
    assert root.kind is Kind.DIRECTORY
    assert data_of(rootfs, "a") == b""


def test_a_hard_link_carries_the_capabilities_of_its_file() -> None:
    """The engine sets the owner of every name, which makes the kernel drop capabilities; the record restores them."""
    capability = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}
    _, members = written(file("a", b"1", pax=capability), {**hard_link("b", "a"), "pax": capability})

    assert members["b"].islnk()
    assert members["b"].pax_headers == members["a"].pax_headers == capability


def test_a_bad_header_amid_a_layer_is_not_its_end() -> None:
    """What stands behind a header that cannot be read is not lost in silence."""
    whole = make_tar(file("a"), file("b"), file("c"))
    damaged = whole[:512] + b"\x07" * 512 + whole[1024:]

    with pytest.raises(SourceError, match="bad header at byte 512"):
        list(read_layer(Content.of(damaged), "l"))


def test_the_locale_says_nothing_about_names() -> None:
    """A name in UTF-8 without a PAX record is the same under every locale."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
        tar.addfile(tarfile.TarInfo("etc/Főtanúsítvány.crt"))
    code = (
        "import sys\nfrom slimmer.content import Content\nfrom slimmer.layer import read_layer\n"
        "print(ascii([entry.path for entry in read_layer(Content.of(sys.stdin.buffer.read()), 'l')]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], input=stream.getvalue(), capture_output=True, check=True,
            env={"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": "/usr/bin"},
        ).stdout
        for locale in ("C", "C.UTF-8", "en_US.ISO-8859-1")
    }  # fmt: skip

    assert said == {ascii(["etc/Főtanúsítvány.crt"]).encode() + b"\n"}


NAMES = st.lists(st.sampled_from(["a", "é", ".", "", ".b", "c.", "\udcff", "x" * 90, "y" * 120]), max_size=5).map(
    "/".join
)
SPECS = st.lists(
    st.one_of(
        st.builds(file, NAMES, st.binary(max_size=600), mode=st.integers(0, 0o7777), mtime=st.sampled_from([0, -5, 8**11])),
        st.builds(directory, NAMES, owner=st.sampled_from([(0, 5), (8**7, 2**32 - 1)])),
        st.builds(symlink, NAMES, NAMES.filter(bool)),
        st.builds(hard_link, NAMES, NAMES),
        st.builds(file, NAMES, pax=st.dictionaries(st.sampled_from(["mtime", "path", "SCHILY.xattr.user.a"]), st.just("7"))),
    ),
    max_size=6,
)  # fmt: skip


@given(SPECS)
def test_tarfile_alone_reads_the_same(specs: list[dict[str, Any]]) -> None:
    """What is read of ordinary headers, and of names in extended ones, is what the standard library reads."""
    tar = Content.of(make_tar(*specs))
    mine = [_facts(entry) for entry in read_layer(tar, "l")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tar_members, "decode", lambda *_: None)
        assert [_facts(entry) for entry in read_layer(tar, "l")] == mine


def _facts(entry: Entry) -> object:
    inode, content = entry.inode, entry.inode.content
    data = content if content is None else content.read_at(0, content.size)
    about = (inode.kind, inode.mode, inode.uid, inode.gid, inode.mtime, inode.target, inode.device, inode.xattrs)
    return entry.path, entry.link_to, data, about


def test_few_chunks_are_small() -> None:
    """Each is a call to the engine and to the hash: a thousand files of a page are not three thousand calls."""
    small = [file(f"s{number:04}", b"x" * 100) for number in range(1000)]
    large = [file("t", b"y" * (9 * CHUNK + 5))]
    sizes = [len(chunk) for chunk in layer_chunks(flattened([*small, *large]).as_layer())]

    assert sum(sizes) == layer_size(flattened([*small, *large]).as_layer())
    assert max(sizes) <= CHUNK
    assert len(sizes) < sum(sizes) / CHUNK + 8  # small files are joined to a quarter of a chunk


_LENGTHS = st.sampled_from([1, 50, 98, 99, 100, 101, 102, 255, 4000])
_NAMES = st.builds(lambda text, length: (text * length)[:length], st.sampled_from(["a", "d/", "ő", "\udcff"]), _LENGTHS)
_NUMBERS = st.sampled_from([0, 1, 8**7 - 1, 8**7, 8**11 - 1, 8**11, 2**32 - 1])
_TIMES = st.builds(lambda seconds, rest: seconds * 10**9 + rest, st.one_of(_NUMBERS, st.just(-5)), st.integers(0, 1))


@given(
    path=st.one_of(st.just(""), _NAMES),
    inode=st.builds(
        lambda kind, target, owner, mtime, size, xattrs: Inode(
            kind, 0o644, owner[0], owner[1], mtime,
            # A content of any length without the bytes.
            Content([Piece(ZEROS, 0, size)]) if kind is Kind.FILE else None,
            target if kind is Kind.SYMLINK else "", (1, 2), xattrs,
        ),
        st.sampled_from(Kind), _NAMES, st.tuples(_NUMBERS, _NUMBERS), _TIMES, _NUMBERS,
        st.sampled_from([None, {}, {"user.a": b"1"}, {"user.a": b"\xff" * 90}]),
    ),
    link_to=st.one_of(st.none(), _NAMES),
)  # fmt: skip
def test_a_header_is_as_long_as_is_said(path: str, inode: Inode, link_to: str | None) -> None:
    """Its length is known without making it, whatever the names, owners, times, sizes and attributes."""
    assert header_size(path, inode, link_to) == len(header(path, inode, link_to))
