from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from slimmer import temporary
from slimmer.runs import Run

if TYPE_CHECKING:
    from pathlib import Path


def left(directory: Path, run: Run) -> list[Path]:
    """Put a file and a directory of a run's where it works, as if it had been killed there, and give both."""
    file, folder = directory / f".slimmer-{run}-1", directory / f".slimmer-{run}-2"
    file.write_bytes(b"unfinished")
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "in.a").write_bytes(b"archive")
    return [file, folder]


@pytest.fixture
def dead() -> Run:
    """Give a run whose process is gone."""
    alive = Run.this()
    return replace(alive, ticks=alive.ticks - 1)


def test_what_a_killed_run_left_goes_and_nothing_else(tmp_path: Path, dead: Run) -> None:
    """Files and whole directories; those of a run that goes on stay, and whatever only looks like one."""
    gone = left(tmp_path, dead)
    stay = [*left(tmp_path, Run.this()), tmp_path / ".slimmer-mine", tmp_path / f"slimmer-{dead}-1"]
    for path in stay[2:]:
        path.write_bytes(b"mine")

    assert sorted(temporary.remove_left(tmp_path)) == gone
    assert sorted(tmp_path.iterdir()) == sorted(stay)


def test_the_next_file_in_a_directory_takes_the_place_of_the_last(tmp_path: Path, dead: Run) -> None:
    """Who writes where a killed run wrote finds its file and removes it."""
    left(tmp_path, dead)

    name = temporary.unfinished(tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert Run.parse(name.name.removeprefix(".slimmer-")) is not None


def test_directories_below_are_searched(tmp_path: Path, dead: Run) -> None:
    """As those of debug files are; what was removed is not searched any more."""
    below = tmp_path / ".build-id" / "01"
    below.mkdir(parents=True)

    gone = [*left(tmp_path, dead), *left(below, dead)]

    assert sorted(temporary.remove_left_below([tmp_path])) == sorted(gone)
    assert list(below.iterdir()) == []


def test_a_link_is_not_followed(tmp_path: Path, dead: Run) -> None:
    """Somebody who puts one where temporary files lie does not make slimmer remove what it leads to."""
    mine = tmp_path / "mine"
    (mine / "below").mkdir(parents=True)
    place = tmp_path / "tmp"
    place.mkdir()
    (place / f".slimmer-{dead}-1").symlink_to(mine)

    temporary.remove_left(place)

    assert (mine / "below").is_dir()
    assert list(place.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_what_belongs_to_another_user_stays(tmp_path: Path, dead: Run) -> None:
    """The directory may be everybody's, and a name proves nothing."""
    file, folder = left(tmp_path, dead)
    for path in (file, folder):
        os.chown(path, 65534, 65534)

    assert temporary.remove_left(tmp_path) == []
    assert sorted(tmp_path.iterdir()) == [file, folder]
