from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from slimmer.formats.oci import INDEX, LAYOUT
from slimmer.formats.oci_write import DirectoryWriter, named

if TYPE_CHECKING:
    from pathlib import Path


def files(directory: Path) -> list[str]:
    """Give every file below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def write(directory: Path, tag: str) -> str:
    """Write a layout of one blob and give the blob's path."""
    with DirectoryWriter(directory) as writer:
        digest, size = writer.blob([b"layer ", tag.encode()])
        writer.finish(named({"digest": digest, "size": size}, tag, None))
    return f"blobs/{digest.replace(':', '/')}"


def test_nothing_has_its_name_before_all_is_there(tmp_path: Path) -> None:
    """A blob that was written is unfinished until the image is; then each has its name and nothing else is there."""
    layout = tmp_path / "layout"
    with DirectoryWriter(layout) as writer:
        digest, size = writer.blob([b"layer"])
        before = files(layout)
        writer.finish(named({"digest": digest, "size": size}, "1", None))

    assert [name.startswith("blobs/sha256/.slimmer-") for name in before] == [True, False]
    assert files(layout) == [f"blobs/{digest.replace(':', '/')}", INDEX, LAYOUT]


def test_who_gives_up_leaves_nothing(tmp_path: Path) -> None:
    """Not even the directory, where that is new; and what was there before stays as it was."""
    old = tmp_path / "old"
    write(old, "1")
    before = {name: (old / name).read_bytes() for name in files(old)}
    for layout in (tmp_path / "new", old):
        with pytest.raises(KeyboardInterrupt), DirectoryWriter(layout) as writer:
            writer.blob([b"layer"])
            raise KeyboardInterrupt

    assert not (tmp_path / "new").exists()
    assert {name: (old / name).read_bytes() for name in files(old)} == before


def test_what_a_killed_run_began_is_gone_on_with(tmp_path: Path) -> None:
    """It leaves a directory that is a layout without an index: the next run takes it for one."""
    layout = tmp_path / "layout"
    killed = DirectoryWriter(layout).__enter__()
    killed.blob([b"layer"])

    blob = write(layout, "1")

    assert (layout / blob).read_bytes() == b"layer 1"
    assert [one["digest"] for one in json.loads((layout / INDEX).read_text())["manifests"]] == [
        "sha256:" + blob.rpartition("/")[2]
    ]


def test_who_gives_up_takes_nothing_from_another_run(tmp_path: Path) -> None:
    """Two runs write to one new directory; the one that is done keeps its image when the other is interrupted."""
    layout = tmp_path / "layout"
    with pytest.raises(KeyboardInterrupt), DirectoryWriter(layout) as writer:
        writer.blob([b"layer 1"])
        blob = write(layout, "1")
        raise KeyboardInterrupt

    assert files(layout) == [blob, INDEX, LAYOUT]
