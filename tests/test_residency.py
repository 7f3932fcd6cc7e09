"""What the kernel holds of a file is told, and is the same afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slimmer.residency import is_resident

from kernel_memory import forget, held


@pytest.mark.parametrize("size", [1, 4096, 70_001, (1 << 20) + 1, 5 << 20])
def test_a_file_that_is_not_in_memory(tmp_path: Path, size: int) -> None:
    """To ask begins to read nothing of it, however often it is asked."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    forget(path)

    with path.open("rb") as file:
        answers = [is_resident(file.fileno(), size) for _ in range(20)]

    assert answers == [False] * 20
    assert held(path) == 0


@pytest.mark.parametrize("size", [1, 4096, 70_001, (1 << 20) + 1, 5 << 20])
def test_a_file_that_is_in_memory(tmp_path: Path, size: int) -> None:
    """It was written, or read, just now."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))

    with path.open("rb") as file:
        assert is_resident(file.fileno(), size) is True


@pytest.mark.parametrize(("first", "answer"), [(0, False), (4 << 20, True)], ids=["its headers", "its middle"])
def test_a_file_of_which_a_part_is_in_memory(tmp_path: Path, first: int, *, answer: bool) -> None:
    """Whoever reads headers reads the ends; the middle stands for the whole."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(9 << 20))
    forget(path)

    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # so that nothing is read ahead
        os.pread(file.fileno(), 1 << 20, first)

        assert is_resident(file.fileno(), 9 << 20) is answer


def test_what_cannot_be_told() -> None:
    """It is not guessed: of a file that cannot be mapped, of one that is shorter than was said."""
    with Path("/proc/self/status").open("rb") as file:
        assert is_resident(file.fileno(), 4096) is None
    with Path(os.devnull).open("rb") as file:
        assert is_resident(file.fileno(), 1) is None
    with Path(__file__).open("rb") as file:
        assert is_resident(file.fileno(), 1 << 30) is None
