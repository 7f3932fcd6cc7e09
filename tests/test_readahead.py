"""Files that are read next are fetched meanwhile: so many, so much of each, and none that is read past memory."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest

from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.formats.diff_directory import DiffDirectory, OpenFiles, StoredFile
from slimmer.once import LARGE, SMALL, chunks_once
from slimmer.pieces import Pieces
from slimmer.readahead import fetched

from kernel_memory import forget, held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> Callable[[int, int], list[Path]]:
    """Give a maker of files of a size, of which the kernel holds nothing."""

    def make(count: int, size: int) -> list[Path]:
        paths = [tmp_path / f"{number:03}" for number in range(count)]
        for path in paths:
            path.write_bytes(os.urandom(size))
            forget(path)
        return paths

    return make


def contents(paths: list[Path]) -> list[Content]:
    """Give the files as an engine's."""
    directory = DiffDirectory(paths[0].parent, "sha256:1", OpenFiles(64), OpenFiles(4))
    pieces = Pieces()
    for path in paths:
        pieces.shelve(*directory.shelved(path.name.encode()), path.stat().st_size)
    return [content.part(index) for content in (Content(pieces),) for index in range(len(paths))]


def test_the_next_files_are_fetched_and_no_others(files: Callable[[int, int], list[Path]]) -> None:
    """Nothing is read of the ones far behind: an image has more than fits into memory."""
    paths = files(40, 5000)
    given = fetched(contents(paths), lambda content: content)

    next(given)

    assert all(map(held, paths[:17]))
    assert not any(map(held, paths[17:]))


def test_all_come_in_their_order(files: Callable[[int, int], list[Path]]) -> None:
    """Those without a content, too, and whatever is done with the others."""
    items = [None, *contents(files(30, 1)), Content.of(b"in memory"), Content.of(b""), None]

    assert list(fetched(items, lambda item: item)) == items


def test_no_more_is_fetched_than_will_be_read(files: Callable[[int, int], list[Path]]) -> None:
    """A library's headers are asked for, not its gigabyte."""
    paths = files(3, 3 << 20)

    list(fetched(contents(paths), lambda content: content, 16 << 10))

    assert [0 < held(path) <= 1 << 20 for path in paths] == [True] * 3


def test_what_is_read_past_memory_is_not_fetched(files: Callable[[int, int], list[Path]]) -> None:
    """It would be in memory then, and read from there."""
    paths = files(3, LARGE)

    list(fetched(contents(paths), lambda content: content))

    assert not any(map(held, paths))


def test_what_was_fetched_is_left_behind(files: Callable[[int, int], list[Path]]) -> None:
    """A file that somebody bothers with is looked at before it is fetched."""
    paths = files(3, 2 * SMALL)

    for content in fetched(contents(paths), lambda content: content):
        assert sum(map(len, chunks_once(content))) == 2 * SMALL

    assert not any(map(held, paths))


def test_a_file_that_is_gone_is_told(files: Callable[[int, int], list[Path]]) -> None:
    """As when it is read."""
    paths = files(3, 10)
    found = contents(paths)
    paths[1].unlink()

    with pytest.raises(SourceError, match="'001' of layer"):
        list(fetched(found, lambda content: content))


def test_small_files_are_not_held_once_they_are_read(files: Callable[[int, int], list[Path]]) -> None:
    """A million of them go by, and what is held of each is held to the end (issue 5)."""
    found = contents(files(200, 10))
    before = stored_files()

    for content in fetched(found, lambda content: content):
        assert sum(map(len, chunks_once(content))) == 10

    assert stored_files() == before
    assert found[0].piece(0).length == 10
    assert stored_files() == before + 1


def stored_files() -> int:
    """Count the files of engines that something holds."""
    return sum(isinstance(each, StoredFile) for each in gc.get_objects())
