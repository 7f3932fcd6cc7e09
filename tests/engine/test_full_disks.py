"""Disks that are full, before a run or in the middle of it: one sentence that names the place, nothing tagged, nothing left."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from own_engine import make_disk, own_engine, small_disk
from strikes import Arena, arena
from victims import NAME, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

IN_PLACE, REMOTE, DEBUG_FILES = 0, 1, 4
MEGABYTES = 40


@contextmanager
def nearly_full(disk: Path, rest: int) -> Iterator[None]:
    """Leave so many bytes of a disk free."""
    with (disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, max(shutil.disk_usage(disk).free - rest, 1))
    try:
        yield
    finally:
        (disk / "filler").unlink()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a file system of 100 MB for temporary files."""
    with small_disk(tmp_path_factory.mktemp("t"), 100_000_000) as place:
        shutil.rmtree(place / "lost+found")
        yield place


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Give an engine that keeps images on a file system of 250 MB, where this machine sees it."""
    place = tmp_path_factory.mktemp("s")
    with (
        small_disk(place, 250_000_000) as images,
        own_engine(place, images) as engine,
        arena(engine, place, milliseconds=10, megabytes=MEGABYTES) as field,
    ):
        field.spans(field.ways[IN_PLACE])
        yield field


def test_no_room_to_read(field: Arena, disk: Path) -> None:
    """What reading through the engine takes is known before: exit 4, with the bytes, the place and what to set."""
    with nearly_full(disk, 10_000_000):
        running = field.start(field.ways[REMOTE], temporary=disk)
        struck = field.look(running, field.ways[REMOTE])

    assert struck.status == 4
    assert re.search(rf"takes 4\d,\d+,\d+ bytes in {disk}, where \d,\d+,\d+ are free; set TMPDIR", struck.said)
    assert struck.wrong + struck.amiss_when_refused() + struck.left == []
    assert list(disk.iterdir()) == []


def test_no_room_to_read_the_result_back(field: Arena, disk: Path) -> None:
    """What an engine out of reach has made of it is read once more, which is known before it is made: exit 5."""
    with nearly_full(disk, 60_000_000):
        running = field.start(field.ways[REMOTE], temporary=disk)
        struck = field.look(running, field.ways[REMOTE])

    assert struck.status == 5, struck.said
    assert re.search(
        rf"reading the result back .* takes 4\d,.* bytes in {disk}, where [123]\d,", struck.said.splitlines()[-1]
    )
    assert "slimmer: writing" not in struck.said
    assert struck.wrong + struck.amiss_when_refused() + struck.left == []


def test_the_disk_fills_while_it_is_read(field: Arena, disk: Path) -> None:
    """Somebody else takes the room in the middle: exit 4, and no temporary file is left."""
    running = field.start(field.ways[REMOTE], temporary=disk)
    running.wait("slimmer: reading", 0)
    with nearly_full(disk, 1_000_000):
        struck = field.look(running, field.ways[REMOTE])

    assert struck.status == 4, struck.said
    assert f"cannot be kept in {disk}: No space left on device; set TMPDIR" in struck.said.splitlines()[-1]
    assert struck.wrong + struck.amiss_when_refused() + struck.left == []
    assert list(disk.iterdir()) == []


def test_no_room_for_strip(field: Arena, disk: Path) -> None:
    """A file that is kept since strip has no room would make another image: exit 5, and no directory is left."""
    with nearly_full(disk, 4096):
        running = field.start(field.ways[DEBUG_FILES], temporary=disk)
        struck = field.look(running, field.ways[DEBUG_FILES])

    assert struck.status == 5, struck.said
    assert f"no space is left in {disk} for strip to work in; set TMPDIR" in struck.said.splitlines()[-1]
    assert struck.wrong + struck.amiss_when_refused() + struck.left == []
    assert list(disk.iterdir()) == []


def test_no_room_to_pack(field: Arena, disk: Path, host: Callable[[str], str | None], tmp_path: Path) -> None:
    """For containerd's store a layer is packed first, in at most its own bytes: exit 5 before anything is packed."""
    archive = tmp_path / "victim.tar"
    field.engine("save", "--output", str(archive), NAME)
    with nearly_full(disk, 10_000_000):
        tag = ("--tag", "slimmer-test/never:1", "--no-verify")
        running = started("run", f"docker-archive:{archive}", *tag, temporary=disk, host=host("containerd"))
        status = running.ended()

    assert status == 5, running.said
    assert re.search(
        rf"packing slimmer-trial.* takes up to 4\d,.* bytes in {disk}, where", running.said.splitlines()[-1]
    )
    assert list(disk.iterdir()) == []


def test_no_room_in_the_engine(small: Arena) -> None:
    """What the result takes is known to the byte before any of it is sent: exit 5, with the engine's directory."""
    images = small.engine.images  # type: ignore[attr-defined] # its own
    with nearly_full(images, 20_000_000):
        struck = small.look(small.start(small.ways[IN_PLACE]), small.ways[IN_PLACE])

    assert struck.status == 5, struck.said
    assert re.search(
        rf"takes 4\d,.* bytes in {images}, where .* are free; make room there", struck.said.splitlines()[-1]
    )
    assert "slimmer: writing" not in struck.said
    assert struck.wrong + struck.amiss_when_refused() + struck.left == []


def test_the_engine_fills_while_it_is_written_to(small: Arena) -> None:
    """Somebody else takes the room in the middle: exit 5, and what had been written is gone."""
    images = small.engine.images  # type: ignore[attr-defined] # its own
    before = shutil.disk_usage(images).used
    running = small.start(small.ways[IN_PLACE])
    running.wait("slimmer: writing", 0)
    with nearly_full(images, 1_000_000):
        struck = small.look(running, small.ways[IN_PLACE])

    assert struck.status == 5, struck.said
    assert "no space left on device" in struck.said.splitlines()[-1]
    assert struck.wrong + struck.amiss_when_refused() + struck.left == []
    assert shutil.disk_usage(images).used < before + 1_000_000


def test_an_engine_whose_disk_cannot_be_seen(field: Arena, tmp_path: Path) -> None:
    """It lies in a mount namespace, as that of a virtual machine lies elsewhere: the engine itself says that it is full."""
    archive, place, temporary = tmp_path / "victim.tar", tmp_path / "e", tmp_path / "tmp"
    for directory in (place, temporary):
        directory.mkdir()
    field.engine("save", "--output", str(archive), NAME)
    with own_engine(place, disk=make_disk(place / "disk", 80_000_000)) as engine:
        host = engine.env["DOCKER_HOST"]
        running = started("run", f"docker-archive:{archive}", "--tag", "app:1", temporary=temporary, host=host)

        assert running.ended() == 5, running.said
        assert "no space left on device" in running.said.splitlines()[-1]
        assert engine.leftovers() == []
        assert engine("images", "--quiet") == ""
        assert list(temporary.iterdir()) == []
