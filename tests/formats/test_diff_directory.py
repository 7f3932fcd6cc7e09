from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from slimmer.errors import SourceError
from slimmer.formats.diff_directory import DiffDirectory, OpenFiles, StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a layer's directory, with a file beside it that no name may lead to."""
    (tmp_path / "outside").write_bytes(b"secret")
    diff = tmp_path / "diff"
    (diff / "usr/lib").mkdir(parents=True)
    (diff / "usr/lib/x.so").write_bytes(b"inside")
    return diff


@pytest.fixture
def stored(root: Path) -> Callable[[str | bytes, int], StoredFile]:
    """Give a function that gives a file of the layer by its name and size."""
    layer = DiffDirectory(root, "sha256:1", OpenFiles(4), OpenFiles(4))

    def name(name: str | bytes, size: int = 6) -> StoredFile:
        shelf, base = layer.shelved(name.encode() if isinstance(name, str) else name)
        return shelf.blob(base, size)

    return name


@pytest.mark.parametrize(
    ("link", "target", "name"),
    [
        (None, "", "usr/lib/x.so"),
        (None, "", "./usr//lib/x.so"),
        (None, "", "/usr/lib/x.so"),
        (None, "", "../../usr/../../usr/lib/x.so"),
        ("lib", "usr/lib", "lib/x.so"),
        ("lib", "/usr/lib", "lib/x.so"),
        ("usr/local", "lib", "usr/local/x.so"),
        ("usr/lib/up", "../../../../usr/lib", "usr/lib/up/x.so"),
    ],
)  # fmt: skip
def test_a_name_is_found_as_in_a_chroot(
    root: Path, stored: Callable[..., StoredFile], link: str | None, target: str, name: str
) -> None:
    """A name leads to the file that the engine unpacked under it, through the layer's own symlinks."""
    if link:
        (root / link).symlink_to(target)

    assert stored(name).read_at(1, 3) == b"nsi"


@pytest.mark.parametrize(
    ("link", "target", "name"),
    [
        ("d", "..", "d/outside"),
        ("d", "{outside}", "d/outside"),
        ("f", "{outside}/outside", "f"),
        ("usr/lib/d", "../../../", "usr/lib/d/outside"),
        ("d", "usr/lib/x.so", "d/x"),
        ("d", "d", "d/x"),
        ("d", "nothing", "d/x"),
        (None, "", "../outside"),
        (None, "", b"usr\0/x"),
        (None, "", "usr/lib"),
        (None, "", "usr/lib/x.so/y"),
        (None, "", ".."),
        (None, "", "usr/lib/gone"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere(
    root: Path, stored: Callable[..., StoredFile], link: str | None, target: str, name: str | bytes
) -> None:
    """No name and no symlink leads out of the layer; each error names file and layer."""
    if link:
        (root / link).symlink_to(target.format(outside=root.parent))

    with pytest.raises(SourceError, match=r"(?s)of layer sha256:1 cannot be read .*build or pull it again"):
        stored(name).read_at(0, 6)


@pytest.mark.parametrize("depth", [3, 63, 64, 65, 400])
def test_a_file_below_many_directories(root: Path, stored: Callable[..., StoredFile], depth: int) -> None:
    """However deep a file lies it is found, also below a symlink that leads to where it began."""
    (root / "usr/back").symlink_to("/usr")
    path = root / "usr/lib"
    for _ in range(depth):
        path /= "d"
        path.mkdir()
    (path / "file").write_bytes(b"inside")
    below = "lib/" + "d/" * depth + "file"

    for name in (f"usr/{below}", f"usr/back/{below}", f"usr/{below}", f"usr/back/back/{below}"):
        assert stored(name).read_at(0, 6) == b"inside"


def test_what_lies_above_is_opened_once(
    root: Path, stored: Callable[..., StoredFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories beside each other are opened from the one that they lie in."""
    for number in range(20):
        (root / f"usr/lib/{number}").mkdir()
        (root / f"usr/lib/{number}/file").write_bytes(b"inside")
    opened: list[object] = []

    def noted(path: object, *more: Any, **options: Any) -> int:
        opened.append(path)
        number: int = open_(path, *more, **options)
        return number

    open_ = cast("Any", os.open)
    monkeypatch.setattr(os, "open", noted)
    for number in range(20):
        stored(f"usr/lib/{number}/file").read_at(0, 6)

    assert sorted(map(str, opened)) == sorted(
        [str(root), "b'usr'", "b'lib'", *(f"b'{number}'" for number in range(20)), *["b'file'"] * 20]
    )


def test_a_file_of_another_size(stored: Callable[..., StoredFile]) -> None:
    """A file that is not as long as its layer says has been changed; nothing of it is used."""
    with pytest.raises(SourceError, match=r"'usr/lib/x.so' of layer sha256:1 .*: it has 6 bytes where the layer has 7"):
        stored("usr/lib/x.so", 7).read_at(0, 2)


def test_a_file_of_another_size_that_is_open(stored: Callable[..., StoredFile]) -> None:
    """A layer that has a path twice: which size is right is told each by itself."""
    assert stored("usr/lib/x.so").read_at(0, 6) == b"inside"

    with pytest.raises(SourceError, match="it has 6 bytes where the layer has 3"):
        stored("usr/lib/x.so", 3).read_at(0, 3)


def test_up_is_what_the_name_says(root: Path, stored: Callable[..., StoredFile]) -> None:
    """The engine takes `..` and the part before it out of a name, and then unpacks; that may be a symlink to anywhere."""
    (root / "far/away").mkdir(parents=True)
    (root / "far/x.so").write_bytes(b"before")
    (root / "x.so").write_bytes(b"inside")
    (root / "link").symlink_to("far/away")

    assert stored("link/../x.so").read_at(0, 6) == b"inside"


def test_what_files_have_in_common_is_held_once(root: Path) -> None:
    """A million files lie in few directories, and each name is one that the tree has, too (issue 5)."""
    layer = DiffDirectory(root, "sha256:1", OpenFiles(4), OpenFiles(4))

    first, last = layer.shelved(b"usr/lib/one.so"), layer.shelved(b"usr/lib/two.so")

    assert first[0] is last[0]
    assert first[1] is sys.intern("one.so")


def test_a_file_that_is_asked_for_again_is_still_open(
    stored: Callable[..., StoredFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody holds a small file between its fetching and its reading: it is made anew, and opened once."""
    stored("usr/lib/x.so").fetch(0, 6)
    monkeypatch.setattr(os, "open", None)

    assert stored("usr/lib/x.so").read_at(0, 6) == b"inside"


def test_a_file_cut_after_it_was_opened(root: Path, stored: Callable[..., StoredFile]) -> None:
    """A file that becomes shorter while it is read ends the run."""
    found = stored("usr/lib/x.so")
    assert found.read_at(0, 2) == b"in"
    (root / "usr/lib/x.so").write_bytes(b"i")

    with pytest.raises(SourceError, match="the file ends 2 bytes before"):
        found.read_at(1, 2)


def test_a_pipe_is_not_waited_for(root: Path, stored: Callable[..., StoredFile]) -> None:
    """A FIFO where a file should be is refused, not waited for."""
    os.mkfifo(root / "pipe")

    with pytest.raises(SourceError, match="no regular file"):
        stored("pipe", 0).read_at(0, 1)


def test_a_removed_file(root: Path, stored: Callable[..., StoredFile]) -> None:
    """What is open when the engine removes the image stays readable; what is not is an error."""
    (root / "other").write_bytes(b"inside")
    found = stored("usr/lib/x.so")
    found.probe()
    for path in (root / "usr/lib/x.so", root / "other"):
        path.unlink()

    assert found.read_at(0, 6) == b"inside"
    with pytest.raises(SourceError, match=r"'other' of layer .*No such file or directory; if the image was removed"):
        stored("other").read_at(0, 6)


def test_descriptors_are_few_and_threads_do_not_mix_them(root: Path, stored: Callable[..., StoredFile]) -> None:
    """Many files read by many threads give each its own bytes, and hardly any stays open."""
    for number in range(300):
        (root / f"usr/{number}").mkdir()
        (root / f"usr/{number}/file").write_bytes(b"%06d" % number)
    files = [stored(f"usr/{number}/file") for number in range(300)]
    before = len(list(Path("/proc/self/fd").iterdir()))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda file: [file.read_at(0, 6) for _ in range(3)], files * 4))

    assert found == [[b"%06d" % number] * 3 for number in range(300)] * 4
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 8
