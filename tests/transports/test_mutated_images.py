"""Images that no tool writes: slimmed or refused, and what is written of them is what was planned. More by tests/hard."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.flattening import Budget, flatten
from slimmer.formats.spool import Spool
from slimmer.formats.store import Archive
from slimmer.image import Config
from slimmer.layer import read_layer

from handmade import file, flattened, hard_link, make_tar, symlink
from hostile_images import hostile_image, rich_root
from judged_images import image_findings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOW_MANY = 120


def test_hostile_images_are_slimmed_or_refused(compiled: Callable[..., Path], tmp_path: Path) -> None:
    """Metadata, headers and files that are anything: no fault, no harm in a report, no other layer than was planned."""
    root = rich_root(compiled("answer", "-g").read_bytes())
    ends = set()

    for number in range(HOW_MANY):
        reference = hostile_image(number, 3, root, tmp_path / str(number))
        found, end = image_findings(reference, tmp_path / "result.tar")
        ends.add(end)
        assert not found, number

    assert ends == {"refused", "slimmed"}


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    """Give a tar header that says what it likes."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(text: bytes) -> bytes:
    """Give an extended header with this body."""
    return header(tarfile.XHDTYPE, len(text)) + text + bytes(-len(text) % 512)


def record(key: bytes, value: bytes) -> bytes:
    """Give a record of an extended header."""
    size = len(key) + len(value) + 3
    while size != len(b"%d %s=%s\n" % (size, key, value)):
        size = len(b"%d %s=%s\n" % (size, key, value))
    return b"%d %s=%s\n" % (size, key, value)


END = bytes(1024)
SPARSE = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0")

TARS: dict[str, tuple[bytes, str]] = {
    "extended headers of extended headers": (pax(record(b"a", b"b")) * 2000 + make_tar(file("a")), "of an extended header, and so on"),
    "long names of long names": ((header(tarfile.GNUTYPE_LONGNAME, 2) + b"a\0" + bytes(510)) * 2000 + END, "of an extended header, and so on"),
    "a size below nothing of an unknown kind": (header(b"Z", -512) + END, "a header of -512 bytes"),
    "a record of a size below nothing": (pax(record(b"size", b"-1024")) + header(b"Z", 0) + END, "a member of -1024 bytes"),
    "a header of a terabyte": (header(tarfile.XHDTYPE, 1 << 40) + END, "a header of 1099511627776 bytes"),
    "a map that is no number": (pax(SPARSE) + header(b"0", 512) + b"nonsense\n" + bytes(503) + END, "a header that says|with holes"),
    "a map of words": (pax(record(b"GNU.sparse.map", b"a,b") + record(b"GNU.sparse.size", b"9")) + header(b"0", 0) + END, "a header that says|with holes"),
    "a map without end": (pax(SPARSE) + header(b"0", 8 << 20) + b"99999999\n" + b"1\n" * (4 << 20) + END, "a header of|with holes"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARS)
def test_a_tar_that_never_ends_or_says_nonsense_is_refused(name: str) -> None:
    """As a layer, and as the archive that an image comes in, read from a file and from a stream."""
    data, words = TARS[name]

    with pytest.raises(SourceError, match=words):
        list(read_layer(Content.of(data), "layer 0"))
    with pytest.raises(SourceError, match=words):
        Archive.in_file(Content.of(data), "app:1")
    with Spool.open("app:1") as spool, pytest.raises(SourceError):
        Archive.in_stream(iter(io.BytesIO(data).read, b""), "app:1", spool)


def test_a_link_without_a_name_has_no_place() -> None:
    """As a file without one: it would be the root, and its other names links to that."""
    rootfs = flattened([file("a", b"1"), hard_link("/", "a"), hard_link("w", "a")])

    assert [path for path, _ in rootfs.entries()] == ["a", "w"]


@pytest.mark.parametrize("device", [(5000, 0), (1, 1 << 21), (-1, 0)])
def test_a_device_that_no_kernel_has_is_refused(device: tuple[int, int]) -> None:
    """A number that is cut to fit a header would be another device."""
    entry = tarfile.TarInfo("null")
    entry.type = tarfile.CHRTYPE
    entry.devmajor, entry.devminor = device

    with pytest.raises(SourceError, match=f"'null' as the device {device[0]}:{device[1]}, which Linux has not"):
        list(read_layer(Content.of(entry.tobuf(tarfile.GNU_FORMAT) + END), "layer 0"))


def test_a_time_of_five_thousand_digits_is_refused() -> None:
    """Python makes no number of it, and no file system a time."""
    with pytest.raises(SourceError, match="'a' the modification time"):
        list(read_layer(Content.of(make_tar(file("a", pax={"mtime": "9" * 5000}))), "layer 0"))


def test_paths_piled_up_through_symlinks_are_refused() -> None:
    """Forty entries of short paths could name files a hundred thousand directories deep, and take gigabytes for it."""
    entries = [symlink("s0", "d/" * 1500)]
    for number in range(1, 39):
        entries += [file(f"s{number - 1}/" + "d/" * 1500 + "x"), symlink(f"s{number}", f"s{number - 1}/" + "d/" * 1500)]

    with pytest.raises(SourceError, match="characters, where Linux takes 4,095 bytes"):
        flattened(entries)


@pytest.mark.parametrize(
    ("budget", "taken"), [(Budget(3, 1000), True), (Budget(2, 1000), False), (Budget(3, 5), False)]
)
def test_more_than_is_held_in_memory_is_refused(budget: Budget, taken: bool) -> None:  # noqa: FBT001
    """So many entries, and so many bytes of their names, over all layers."""
    layers = [
        read_layer(Content.of(make_tar(file("ab"), file("cd"))), "one"),
        read_layer(Content.of(make_tar(file("ef"))), "two"),
    ]

    def spent() -> list[object]:
        return [
            entry for name, layer in zip(("one", "two"), layers, strict=True) for entry in budget.spent(name, layer)
        ]

    if taken:
        assert len(spent()) == 3
    else:
        with pytest.raises(SourceError, match="more than slimmer holds in memory"):
            spent()


def test_flattening_spends_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image is counted."""
    monkeypatch.setattr("slimmer.flattening.Budget", lambda: Budget(1, 1000))

    with pytest.raises(SourceError, match="more than 1 entries"):
        flatten([("one", read_layer(Content.of(make_tar(file("a"), file("b"))), "one"))])


def test_a_spool_keeps_zeros_as_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What packs best takes no room unpacked, and reads as what it was, to the last byte."""
    monkeypatch.setattr("slimmer.formats.spool.directory", lambda: str(tmp_path))
    parts = [bytes(1 << 20), b"x" + bytes((1 << 20) - 1), bytes((1 << 20) - 1) + b"y", bytes(4096), b"", bytes(100)]
    with Spool.open("app:1") as spool:
        content = spool.take(iter(parts))
        again = spool.take(iter([b"more"]))

        used = os.fstat(spool._file.fileno()).st_blocks * 512
        assert content.read_at(0, content.size) == b"".join(parts)
        assert again.read_at(0, 4) == b"more"
    assert used < 3 << 20


def test_a_bomb_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spool stops while others can still write; here it is told that they hardly can."""
    monkeypatch.setattr("slimmer.formats.spool._OFTEN", 1 << 20)
    monkeypatch.setattr("slimmer.formats.spool._LEFT_FREE", 1 << 60)

    with Spool.open("app:1") as spool, pytest.raises(SourceError, match="set TMPDIR to another directory"):
        spool.take(os.urandom(1 << 19) for _ in iter(int, 1))


def test_a_hole_is_not_held_in_memory() -> None:
    """A file that a rule reads as a whole may be a terabyte that costs its image nothing."""
    large = tarfile.TarInfo("var/lib/dpkg/status")
    large.size = 1 << 40
    sparse = pax(
        record(b"GNU.sparse.map", b"1099511627770,6")
        + record(b"GNU.sparse.size", b"1099511627776")
        + record(b"GNU.sparse.numblocks", b"1")
    )
    rootfs = flatten(
        [("one", read_layer(Content.of(sparse + header(b"0", 6, "status") + b"Packag" + bytes(506) + END), "one"))]
    )
    inode = rootfs.get("status")
    assert inode is not None
    assert inode.content is not None
    assert inode.size == 1 << 40

    with pytest.raises(SourceError, match="/status has 1,099,511,627,776 bytes, and slimmer holds no more than"):
        inode.content.whole("status")


CONFIGS = {
    "not UTF-8": b'{"config":{"Env":["PASSWORD=hunter2"]},"x":"\xff"}',
    "half a pair": b'{"config":{"Env":["PASSWORD=hunter2"]},"created":"\\ud800","rootfs":{"diff_ids":[]}}',
    "cut": b'{"config":{"Env":["PASSWORD=hunter2"',
    "a list": b'["PASSWORD=hunter2"]',
    "another type": b'{"config":{"Env":"PASSWORD=hunter2"},"rootfs":{"diff_ids":[]}}',
    "layers that are text": b'{"config":{"Env":["PASSWORD=hunter2"]},"rootfs":{"diff_ids":"PASSWORD=hunter2"}}',
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_that_is_refused_is_not_quoted(name: str) -> None:
    """What ENV holds is nobody's business, in an error neither; nor in what raised it, which a traceback would show."""
    with pytest.raises(SourceError, match="is not one of an image") as refused:
        Config.parse(CONFIGS[name], "app:1")

    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("more", "key"),
    [({"Env": 5}, "config.Env"), ({"Env": ["a", 1]}, "config.Env"), ({"Cmd": {}}, "config.Cmd"), ({"WorkingDir": []}, "config.WorkingDir"),
     ({"Entrypoint": ["x" * 70_000] * 2}, "config.Entrypoint"), ({"Volumes": ["/a"]}, "config.Volumes"), ({"ExposedPorts": "80"}, "config.ExposedPorts"),
     ({"Healthcheck": {"Test": 1}}, "config.Healthcheck"), ({"Healthcheck": {"Interval": "1s"}}, "config.Healthcheck"), ({"User": 0}, "config.User")],
)  # fmt: skip
def test_a_configuration_of_other_types_is_refused(more: dict[str, object], key: str) -> None:
    """As an engine would, with the key's name."""
    raw = json.dumps({"config": more, "rootfs": {"diff_ids": ["sha256:1"]}}).encode()

    with pytest.raises(SourceError, match=f"look at {key}"):
        Config.parse(raw, "app:1")


@pytest.mark.parametrize("architecture", ["amd64\x1b[2J", "<script>", "a b", "x" * 65, 5])
def test_a_platform_that_is_no_word_is_refused(architecture: object) -> None:
    """It stands in every summary."""
    raw = json.dumps({"architecture": architecture, "rootfs": {"diff_ids": ["sha256:1"]}}).encode()

    with pytest.raises(SourceError, match="look at architecture"):
        Config.parse(raw, "app:1")
