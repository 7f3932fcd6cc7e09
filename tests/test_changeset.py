from __future__ import annotations

import pytest

from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.layer import Kind, read_layer
from slimmer.rootfs import Rootfs, flatten

from handmade import Spec, data_of, directory, file, flattened, hard_link, symlink
from layer_cases import Layers, tars
from refused_cases import READ, REFUSED, Read, Refused


def of(layers: Layers) -> Rootfs:
    """Give what the layers of a case add up to."""
    return flatten(
        (f"layer {number}", read_layer(Content.of(tar), f"layer {number}")) for number, tar in enumerate(tars(layers))
    )


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_layer_that_cannot_be_is_one_sentence(case: Refused) -> None:
    """It names the layer and the entry; tests/engine says what an engine makes of the same layer."""
    with pytest.raises(SourceError) as refused:
        of(case.layers)

    assert case.slimmer in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "layer" in str(refused.value)


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_a_layer_that_means_something_is_read(case: Read) -> None:
    """What other engines and archives hold is not refused for this engine's reasons."""
    assert {path for path, _ in of(case.layers).entries()} == case.paths


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param(
            [[directory("d"), file("d/a")], [file(".wh.d"), directory("d"), file("d/b")]], {"d", "d/a", "d/b"},
            id="a directory takes the place of its own layer's whiteout",
        ),
        pytest.param([[file("u/x")], [directory("u"), symlink("l", "u"), file("l/.wh.x")]], {"u", "l"}, id="whiteout below a symlink"),
        pytest.param([[file("q")], [file("q/.wh.a")]], {"q"}, id="a whiteout makes its directory"),
        pytest.param([[file("a")], [file(".wh..wh..opq"), file("b")]], {"a", "b"}, id="opaque root"),
        pytest.param(
            [[directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"), hard_link("l", ".wh..wh.plnk/1.2")]], {"l"}, id="aufs's links"
        ),
    ],
)  # fmt: skip
def test_layers_are_extracted_as_the_engine_does(layers: list[list[Spec]], expected: set[str]) -> None:
    """Where the engine does otherwise than the specification, it is followed; tests/engine shows that it does."""
    assert {path for path, _ in flattened(*layers).entries()} == expected


def test_a_directory_that_the_newest_layer_does_not_name_is_made_anew() -> None:
    """What is put into a directory without naming it hides the older one's owner and mode."""
    inode = flattened([directory("d", mode=0o700, owner=(5, 5))], [file("d/x")]).get("d")

    assert inode is not None
    assert (inode.kind, inode.mode, inode.uid, inode.mtime) == (Kind.DIRECTORY, 0o755, 0, 0)


def test_a_links_entry_sets_what_it_says_on_every_name() -> None:
    """Owner, mode, time and attributes of a hard link's own entry are its file's, under each name."""
    rootfs = flattened(
        [
            file("a", b"1", mode=0o755, pax={"SCHILY.xattr.user.a": "1"}),
            hard_link("b", "a"),
            {**hard_link("c", "b"), "mode": 0o600, "owner": (7, 8), "mtime": 5, "pax": {"SCHILY.xattr.user.c": "3"}},
        ]
    )

    inode = rootfs.get("a")
    assert inode is not None
    assert inode is rootfs.get("b") is rootfs.get("c")
    assert (inode.mode, inode.uid, inode.gid, inode.mtime) == (0o600, 7, 8, 5_000_000_000)
    assert inode.xattrs == {"user.a": b"1", "user.c": b"3"}
    assert data_of(rootfs, "c") == b"1"
