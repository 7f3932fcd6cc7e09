from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from slimmer.content import Content
from slimmer.elf.linking.linkage import link
from slimmer.errors import SourceError
from slimmer.flattening import flatten
from slimmer.inode import Kind
from slimmer.layer import read_layer
from slimmer.rootfs import Rootfs, in_order

from handmade import data_of, directory, file, flattened, hard_link, make_tar, symlink

Layers = list[list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param([[file("a", b"1")], [file("a", b"2")]], {"a": b"2"}, id="replaced"),
        pytest.param([[file("a"), file("b")], [file(".wh.a")]], {"b": b""}, id="whiteout"),
        pytest.param([[file("a"), file(".wh.a")]], {"a": b""}, id="whiteout says nothing of its own layer"),
        pytest.param(
            [[file("d/a"), file("d/b")], [file("d/c"), file("d/.wh..wh..opq")]], {"d": None, "d/c": b""}, id="opaque"
        ),
        pytest.param(
            [[file("d/a")], [file(".wh.d")], [file("d/b")]], {"d": None, "d/b": b""}, id="delete and recreate"
        ),
        pytest.param(
            [[file("d/a")], [file(".wh.d"), file("d/b")]], {"d": None, "d/b": b""}, id="recreate in one layer"
        ),
        pytest.param(
            [[file("x")], [directory("x"), file("x/y")]], {"x": None, "x/y": b""}, id="file becomes directory"
        ),
        pytest.param([[file("x/y")], [file("x")]], {"x": b""}, id="directory becomes file"),
        pytest.param([[file("x/y")], [symlink("x", "z")]], {"x": None}, id="directory becomes symlink"),
        pytest.param([[file("a")], [file(".wh..wh.plnk"), file("b")]], {"a": b"", "b": b""}, id="aufs's own marks"),
        pytest.param([[file("a")], [file(".wh.b")]], {"a": b""}, id="whiteout of nothing"),
        pytest.param([[file("name.wh.part")]], {"name.wh.part": b""}, id="marker's letters amid a name"),
    ],
)
def test_layers_add_up_as_the_engine_shows_them(layers: Layers, expected: dict[str, bytes | None]) -> None:
    """Each rule of the OCI layer specification, in the smallest case that shows it."""
    rootfs = flattened(*layers)

    assert {path: inode.content and data_of(rootfs, path) for path, inode in rootfs.entries()} == expected


def test_a_link_keeps_the_content_that_it_was_made_to() -> None:
    """Replacing or deleting a link's target later does not touch the link (go-containerregistry 977 and 2002)."""
    first = [file("c/orig", b"old"), hard_link("v/link", "c/orig")]

    replaced = flattened(first, [file("c/orig", b"new")])
    deleted = flattened(first, [file("c/orig", b"new")], [file(".wh.c")])

    assert (data_of(replaced, "v/link"), data_of(replaced, "c/orig")) == (b"old", b"new")
    assert (data_of(deleted, "v/link"), "c/orig" in deleted) == (b"old", False)


def test_a_link_before_its_target_in_the_same_layer() -> None:
    """Sorted layers put a link first when its name comes first."""
    rootfs = flattened([hard_link("a", "b"), file("b", b"data")])

    assert rootfs.get("a") is rootfs.get("b")


def test_a_link_to_nothing_is_refused() -> None:
    """A link whose file is nowhere is a damaged image, not a missing file."""
    with pytest.raises(SourceError, match="'a' as a hard link to 'gone'"):
        flattened([hard_link("a", "gone")])


def test_a_later_directory_gives_its_mode_and_keeps_the_files() -> None:
    """A directory of a later layer replaces the metadata, not the content."""
    rootfs = flattened([directory("d", mode=0o700), file("d/a")], [directory("d", mode=0o711)])

    inode = rootfs.get("d")
    assert inode is not None
    assert (inode.mode, "d/a" in rootfs) == (0o711, True)


def test_sizes_count_inodes_not_paths() -> None:
    """Ten names of a file are one content, and a symlink counts its target's name, as the engine does."""
    rootfs = flattened(
        [file("a", b"x" * 100), *(hard_link(f"l{number}", "a") for number in range(9)), symlink("s", "abc")]
    )

    assert rootfs.size() == 103
    assert len(rootfs) == 11


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("lib/x", "usr/lib/x"),
        ("abs/x", "usr/lib/x"),
        ("up/x", "usr/lib/x"),
        ("loop", None),
        ("dangling", None),
        ("usr/lib/../lib/./x", "usr/lib/x"),
        ("../../usr", "usr"),
    ],
)
def test_symlinks_are_followed_inside_the_root(path: str, expected: str | None) -> None:
    """Absolute targets mean the image's root, `..` stops at it, loops and dangling links lead nowhere."""
    rootfs = flattened(
        [
            file("usr/lib/x"),
            symlink("lib", "usr/lib"),
            symlink("abs", "/usr/lib"),
            symlink("up", "../../usr/lib"),
            symlink("loop", "loop"),
            symlink("dangling", "nowhere"),
        ]
    )

    assert rootfs.resolve(path) == expected


def test_order_is_canonical() -> None:
    """The order of a layer's entries does not reach the result: parents first, siblings by code point."""
    rootfs = flattened([file("b/z"), file("a-b"), file("a/c"), file("b.c")])

    assert [path for path, _ in rootfs.entries()] == ["a", "a/c", "a-b", "b", "b/z", "b.c"]


def test_paths_deeper_than_the_stack() -> None:
    """A path of two thousand directories, as many as Linux takes, is only a long path."""
    deep = "/".join(["d"] * 2_000)

    rootfs = flattened([file(f"{deep}/f", b"1")])

    inode = rootfs.get(f"{deep}/f")
    assert inode is not None
    assert inode.kind is Kind.FILE


def test_a_layer_is_extracted_through_its_own_symlinks() -> None:
    """A root file system tar with a merged /usr may name files through the link; they lie where the link leads."""
    layer = [
        directory("usr/lib"),
        symlink("lib", "usr/lib"),
        file("usr/lib/libc.so"),
        file("lib/x", b"1"),
        hard_link("lib/y", "lib/libc.so"),
    ]

    rootfs = flattened(layer)

    assert {path for path, _ in rootfs.entries()} == {
        "lib",
        "usr",
        "usr/lib",
        "usr/lib/libc.so",
        "usr/lib/x",
        "usr/lib/y",
    }
    assert rootfs.get("usr/lib/y") is rootfs.get("usr/lib/libc.so")


def test_an_older_layers_symlink_is_hidden_by_a_directory() -> None:
    """The engine extracts each layer by itself, so there the link is not known and a directory takes its place."""
    rootfs = flattened([directory("usr/lib"), symlink("lib", "usr/lib")], [file("lib/x", b"1")])

    inode = rootfs.get("lib")
    assert inode is not None
    assert inode.kind is Kind.DIRECTORY
    assert "usr/lib/x" not in rootfs


@pytest.mark.parametrize("count", [1, 30], ids=["a few", "most"])
@pytest.mark.parametrize("asked", [True, False], ids=["known", "unknown"])
def test_what_is_left_is_known_as_if_found_anew(count: int, asked: bool) -> None:  # noqa: FBT001 - a parameter
    """Directories, names and symlinks of a root less some paths are those of a root that never had them."""
    numbers = range(40)
    layer = [
        *(file(f"d{number}/a") for number in numbers),
        *(hard_link(f"d{number}/b", f"d{number}/a") for number in numbers),
        *(hard_link(f"d{number}/c", "d0/a") for number in numbers),
        *(symlink(f"d{number}/s", "a") for number in numbers),
    ]
    rootfs = flattened(layer)
    gone = {path for number in range(count) for path in (*rootfs.below(f"d{number}"), f"d{number + 1}/b")}
    if asked:
        assert all(path in rootfs.names(path) for path, _ in rootfs.entries())
        assert list(rootfs.symlinks())

    left = rootfs.without(gone)
    anew = Rootfs.of(dict(left.entries()))

    assert list(left.below("d39")) == list(anew.below("d39"))
    assert {path: left.children(path) for path, _ in rootfs.entries()} == {
        path: anew.children(path) for path, _ in rootfs.entries()
    }
    for path, _ in rootfs.entries():
        assert left.names(path) == anew.names(path)
    assert list(left.symlinks()) == list(anew.symlinks())


def test_paths_are_found_by_their_last_part() -> None:
    """By a name, and by whatever a name and its inode say, in canonical order: parents first."""
    rootfs = flattened([
        file("b/x/RECORD", b"2"), file("b/x-y/RECORD", b"3"), file("b/RECORD", b"1"), symlink("RECORD", "b/RECORD"),
        file("a/RECORD/other"), file("RECORDS"),
    ])  # fmt: skip
    paths = ["RECORD", "a/RECORD", "b/RECORD", "b/x/RECORD", "b/x-y/RECORD"]

    assert rootfs.called("RECORD") == [(path, rootfs.get(path)) for path in paths]
    assert [path for path, _ in rootfs.where(lambda _, inode: inode.size == 1)] == paths[2:]
    assert [path for path, _ in rootfs.where(lambda name, _: name in {"b", "x", "x-y"})] == ["b", "b/x", "b/x-y"]
    assert rootfs.called("") == rootfs.called("b/RECORD") == []


def test_only_whole_paths_are_there() -> None:
    """Whatever is not written as paths are leads nowhere."""
    rootfs = flattened([directory("."), file("d/a")])

    for path in ("/d", "/d/a", "d/", "d//a", "./d", "d/a/", "d/a/b", "/", "a"):
        assert rootfs.get(path) is None
        assert path not in rootfs
        assert rootfs.names(path) == list(rootfs.below(path)) == []
    assert "" in rootfs
    assert len(rootfs) == len(list(rootfs.entries())) == 3


def test_a_root_that_holds_more_is_another() -> None:
    """New paths come with the directories on the way, in order; names of one inode stay so; the old root is as it was."""
    old = flattened([directory("d", mode=0o700), file("d/m", b"m"), file("z", b"z")])
    moved = old.get("d/m")
    assert moved is not None

    new = old.holding({"n/e/w": moved, "d/a": moved})

    assert list(new.below("d")) == ["d", "d/a", "d/m"]
    assert [path for path, _ in new.entries()] == ["d", "d/a", "d/m", "n", "n/e", "n/e/w", "z"]
    assert new.names("d/m") == ["d/a", "d/m", "n/e/w"]
    assert new.get("d") is old.get("d")
    assert [path for path, _ in old.entries()] == ["d", "d/m", "z"]
    assert old.names("d/m") == ["d/m"]
    assert new.size() == old.size() == 2


def test_a_file_takes_little_memory() -> None:
    """Of a million files a byte each is a MB, and all of slimmer is to take 400 (issue 5)."""
    count = 30_000
    layer = Content.of(make_tar(*(file(f"srv/{number // 100}/file-{number}", b"x") for number in range(count))))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        rootfs = flatten([("layer", read_layer(layer, "layer"))])
        link(rootfs, {})
        held, most = (memory - before for memory in tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()

    assert len(list(rootfs.files())) == count
    assert held / count < 350
    assert most / count < 370


def test_deep_paths_are_put_in_order_without_taking_them_apart() -> None:
    """Hard links below a symlink to a deep directory: each is some bytes of the layer and a path of 1,300 parts."""
    count = 500
    deep = "/".join("d" for _ in range(1300))
    links = (hard_link(f"s/{number}", f"{deep}/RECORD") for number in range(count))
    rootfs = flattened([file(f"{deep}/RECORD"), symlink("s", deep), *links])
    tracemalloc.start()
    try:
        assert rootfs.size() == len(deep)
        assert len(rootfs.names(f"{deep}/RECORD")) == count + 1
        assert len(in_order(path for path, _ in rootfs.entries())) == len(rootfs)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most / len(rootfs) < 10_000
