"""Reading in place what the real engine keeps, beside what it sends."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.errors import SourceError
from slimmer.flattening import flatten
from slimmer.formats import docker_save, overlay2
from slimmer.formats.diff_directory import StoredFile
from slimmer.formats.overlay2 import NotInPlace, chain_ids, local_root
from slimmer.formats.spool import Spool
from slimmer.formats.store import Archive
from slimmer.image import Image
from slimmer.layer import read_layer
from slimmer.progress import Silence

from handmade import directory, file, hard_link, make_tar, symlink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimmer.rootfs import Rootfs

    from docker_cli import Docker

pytestmark = pytest.mark.engine

LAYERS = [
    make_tar(
        directory("."), directory("./etc"), file("./etc/hosts", b"127.0.0.1 image\n"), file("etc/block", b"b" * 1024),
        directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib"), file("lib/through", b"a symlink"),
        hard_link("usr/lib/again", "usr/lib/through"), file("empty"), directory("gone"), file("gone/a", b"x"),
        file("long/" + "n" * 200 + "/" + "m" * 90, b"long"), file("größer", b"text"), file("a\nb\\c", b"odd"),
        file("\udcff\udcfe", b"bytes", pax={"hdrcharset": "BINARY"}), directory("opaque"), file("opaque/old", b"old"),
        file("capable", b"c" * 513, mode=0o4755, owner=(4294967293, 7), pax={"SCHILY.xattr.user.note": "kept", "mtime": "1600000000.123456789"}),
    ),
    make_tar(file(".wh.gone"), directory("opaque"), file("opaque/.wh..wh..opq"), file("opaque/new", b"new"), file("etc/hosts", b"later")),
    make_tar(),
    make_tar(hard_link("one", "two") | {"type": b"0", "data": b"same"}, hard_link("two", "one")) + bytes(20480),
]  # fmt: skip
NAME = "slimmer-test/in-place:1"


@pytest.fixture
def image_id(docker: Docker) -> str:
    """Give the ID of an image with what is hard to give back byte by byte."""
    return docker.image(NAME, LAYERS)


@pytest.fixture
def root(docker: Docker) -> Path:
    """Give the engine's directory."""
    found = local_root(json.loads(docker("info", "--format", "{{json .}}")), "unix:///var/run/docker.sock")
    assert isinstance(found, Path)
    return found


@pytest.fixture
def copied(root: Path, docker: Docker, image_id: str, tmp_path: Path) -> Path:
    """Give a copy of what the engine keeps of the image, to damage."""
    for kept in _kept(root, docker.inspect(image_id)["RootFS"]["Layers"]):
        target = tmp_path / kept.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", kept, target], check=True)  # whiteouts are devices, which shutil does not copy
    config = Path("image/overlay2/imagedb/content", image_id.replace(":", "/"))
    (tmp_path / config).parent.mkdir(parents=True)
    shutil.copy(root / config, tmp_path / config)
    return tmp_path


def _kept(root: Path, diff_ids: list[str]) -> Iterator[Path]:
    for chain_id in chain_ids(diff_ids):
        kept = root / "image/overlay2/layerdb" / chain_id.replace(":", "/")
        yield kept
        yield root / "overlay2" / (kept / "cache-id").read_text() / "diff"


def facts(rootfs: Rootfs) -> dict[str, Any]:
    """Give all that a root says, with the digest of each content and every name of each inode."""
    return {
        path: (
            inode.kind, inode.mode, inode.uid, inode.gid, inode.mtime, inode.target, inode.device, inode.xattrs,
            rootfs.names(path), inode.content and hashlib.sha256(b"".join(inode.content.chunks())).digest(),
        )
        for path, inode in rootfs.entries()
    }  # fmt: skip


def flat(image: Image) -> Rootfs:
    """Give the root of an image."""
    return flatten((layer.diff_id, read_layer(layer.content, layer.diff_id)) for layer in image.layers)


def in_place(root: Path, image_id: str) -> Image:
    """Give an image that must be readable in place."""
    found = overlay2.read(root, image_id, NAME)
    assert isinstance(found, Image), found.reason
    return found


def saved(image_id: str, check: Callable[[Image], None]) -> None:
    """Call CHECK with the image as `docker save` gives it."""
    with subprocess.Popen(["docker", "save", image_id], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        stream = process.stdout
        with Spool.open(NAME) as spool:
            store = Archive.in_stream(iter(lambda: stream.read(1 << 20), b""), NAME, spool)
            check(docker_save.read(store, docker_save.described(store)[0], spool, Silence()))


def check_both_ways(root: Path, image_id: str) -> None:
    """Assert that an image is the same in place and saved: configuration, each layer's bytes, root."""
    image = in_place(root, image_id)

    def check(other: Image) -> None:
        assert image.config == other.config
        assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in other.layers]
        assert facts(flat(image)) == facts(flat(other))

    saved(image_id, check)
    for layer in image.layers:
        hasher = hashlib.sha256()
        for chunk in layer.content.chunks():
            hasher.update(chunk)
        assert "sha256:" + hasher.hexdigest() == layer.diff_id


def test_both_ways_give_the_same(root: Path, image_id: str) -> None:
    """A layer in place is the tar that the engine sends, byte by byte, whatever it holds; so the root is the same."""
    check_both_ways(root, image_id)


def test_both_ways_give_the_same_base(root: Path, docker: Docker, base: str) -> None:
    """So it is for a whole Debian system."""
    check_both_ways(root, str(docker.inspect(base)["Id"]))


@pytest.mark.parametrize(
    ("entries", "path"),
    [
        pytest.param([file("d/a", b"one"), hard_link("b", "d/a"), file("l/a", b"TWO")], "b", id="a file over it"),
        pytest.param([file("d/a", b"one"), hard_link("b", "d/a"), hard_link("l/a", "c")], "b", id="a link over it"),
        pytest.param([file("d/x/a", b"one"), hard_link("b", "d/x/a"), symlink("l/x", "../e")], "b", id="a symlink over its directory"),
        pytest.param([symlink("d/x", "../f"), file("d/x/a", b"one"), symlink("l/x", "../e")], "f/a", id="a symlink over the one on the way"),
    ],
)  # fmt: skip
def test_what_the_engine_keeps_no_more(root: Path, docker: Docker, entries: list[dict[str, Any]], path: str) -> None:
    """Through a symlink a path is taken twice: where the first file was, other bytes lie, just as many."""
    around = [directory("d"), directory("e"), directory("f"), symlink("l", "d"), file("c", b"TWO"), file("e/a", b"TWO")]
    image = in_place(root, docker.image(NAME, [make_tar(*around, *entries)]))

    with pytest.raises(SourceError, match=rf"layer sha256:\w+ holds '{path}', and through a symlink another file"):
        flat(image)
    with pytest.raises(AssertionError, match="file integrity checksum failed"):
        docker.bytes_of("save", NAME)


def test_a_path_that_is_taken_twice_to_no_harm(root: Path, docker: Docker) -> None:
    """Where nothing is left of the first file, or a hard link of an older layer's is, all is where it is read."""
    older = make_tar(directory("d"), file("d/b", b"old"))
    newer = make_tar(
        directory("d"), symlink("l", "d"), file("d/a", b"one"), hard_link("c", "d/a") | {"type": b"0", "data": b"two"},
        file("l/a", b"TWO"), file(".wh.x"), file("x", b"new"),
    )  # fmt: skip

    rootfs = flat(in_place(root, docker.image(NAME, [older, newer])))

    found = {path: inode.content and inode.content.read_at(0, 9) for path, inode in rootfs.files()}
    assert found == {"c": b"two", "d/a": b"TWO", "d/b": b"old", "x": b"new"}


def test_opening_reads_no_file(copied: Path, docker: Docker, image_id: str) -> None:
    """An image is opened by what the engine notes of it: its files may be gone, but for the one a layer that is tried."""
    image = in_place(copied, image_id)
    for diff in list(_kept(copied, docker.inspect(image_id)["RootFS"]["Layers"]))[1::2]:
        shutil.rmtree(diff)

    for layer in image.layers:
        with layer.content.open() as stream:
            position = 0
            for piece in layer.content.pieces:
                if not isinstance(piece.blob, StoredFile):
                    stream.seek(position)
                    assert len(stream.read(piece.length)) == piece.length
                position += piece.length


def test_removed_while_it_is_read(root: Path, docker: Docker, image_id: str) -> None:
    """`docker rmi` in the middle is one sentence that names file, layer and what to do."""
    image = in_place(root, image_id)
    docker("rmi", "-f", image_id)

    with pytest.raises(
        SourceError,
        match=rf"'.+' of layer {image.layers[0].diff_id} .* No such file or directory; if the image was removed",
    ):
        facts(flat(image))


def test_a_changed_file(copied: Path, docker: Docker, image_id: str) -> None:
    """A file that was changed in the engine's directory is refused by its size when it is read."""
    image = in_place(copied, image_id)
    _, diff, *_ = _kept(copied, docker.inspect(image_id)["RootFS"]["Layers"])
    (diff / "capable").write_bytes(b"tampered")

    with pytest.raises(SourceError, match=r"'capable' of layer .*: it has 8 bytes where the layer has 513"):
        facts(flat(image))


def test_a_metacopy(copied: Path, docker: Docker, image_id: str) -> None:
    """A file that overlayfs left hollow has the right size and no data; it is refused, not read as zeros."""
    image = in_place(copied, image_id)
    _, diff, *_ = _kept(copied, docker.inspect(image_id)["RootFS"]["Layers"])
    os.setxattr(diff / "capable", "trusted.overlay.metacopy", b"")

    with pytest.raises(SourceError, match=r"'capable' of layer .*metacopy"):
        facts(flat(image))


def _without_file(kept: Path, diff: Path) -> None:
    (kept / "tar-split.json.gz").unlink()


def _cut(kept: Path, diff: Path) -> None:
    path = kept / "tar-split.json.gz"
    path.write_bytes(path.read_bytes()[:-20])


def _garbled(kept: Path, diff: Path) -> None:
    path = kept / "tar-split.json.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8] = bytes(8)
    path.write_bytes(data)


def _no_record(kept: Path, diff: Path) -> None:
    (kept / "tar-split.json.gz").write_bytes(gzip.compress(b'{"type": 1, "size": 1}\n'))


def _other_layer(kept: Path, diff: Path) -> None:
    (kept / "diff").write_text("sha256:" + "0" * 64)


def _elsewhere(kept: Path, diff: Path) -> None:
    (kept / "cache-id").write_text("../../etc")


def _no_directory(kept: Path, diff: Path) -> None:
    shutil.rmtree(diff)


def _is_no_text(kept: Path, diff: Path) -> None:
    (kept / "cache-id").write_bytes(b"\xff")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without_file, "No such file"), (_cut, "ended before"), (_garbled, "cannot be read|no record"), (_no_record, "no record"),
        (_other_layer, "noted as 'sha256:000"), (_elsewhere, "kept under '../../etc'"), (_no_directory, "No such file"),
        (_is_no_text, "no record"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_in_place(
    copied: Path, docker: Docker, image_id: str, damage: Callable[[Path, Path], None], reason: str
) -> None:
    """A layer without its record, or with another's, is left to `docker save`, with the reason."""
    kept, diff, *_ = _kept(copied, docker.inspect(image_id)["RootFS"]["Layers"])
    damage(kept, diff)

    found = overlay2.read(copied, image_id, NAME)

    assert isinstance(found, NotInPlace)
    assert re.search(reason, found.reason), found.reason


def test_another_configuration(copied: Path, image_id: str) -> None:
    """A configuration that is not what the image's ID says, or not there, is left to `docker save`."""
    path = copied / "image/overlay2/imagedb/content" / image_id.replace(":", "/")
    path.write_bytes(path.read_bytes() + b" ")
    assert "not what its name says" in overlay2.read(copied, image_id, NAME).reason  # type: ignore[union-attr]
    path.unlink()
    assert "No such file" in overlay2.read(copied, image_id, NAME).reason  # type: ignore[union-attr]
    assert "no digest" in overlay2.read(copied, "sha256:../../..", NAME).reason  # type: ignore[union-attr]


def test_a_diff_id_that_is_none(tmp_path: Path) -> None:
    """A layer's name, which the image gives, is no path."""
    assert overlay2.layers(tmp_path, ["sha256:../../../etc"]) == NotInPlace("a layer's name is no digest")


@pytest.mark.parametrize(
    ("info", "host", "reason"),
    [
        ({}, "tcp://127.0.0.1:2375", "need not be on this machine"),
        ({}, "ssh://host", "need not be on this machine"),
        ({"Driver": "overlayfs"}, "", "overlayfs, not with overlay2"),
        ({"Driver": "overlay2", "DockerRootDir": "/no/such/directory"}, "", "is not on this machine"),
        ({"Driver": "overlay2"}, "unix:///run/docker.sock", "is not on this machine"),
    ],
)  # fmt: skip
def test_an_engine_out_of_reach(info: dict[str, str], host: str, reason: str) -> None:
    """An engine elsewhere, with another driver or without its directory here gives the reason, no error."""
    found = local_root(info, host)

    assert isinstance(found, NotInPlace)
    assert reason in found.reason


def test_a_user_who_may_not_read(root: Path) -> None:
    """Who has no right to every file learns it before anything is read."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(65534)
        os.write(writing, str(local_root({"Driver": "overlay2", "DockerRootDir": str(root)}, "")).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read() == str(NotInPlace(f"this user may not read all files in {root}")).encode()
