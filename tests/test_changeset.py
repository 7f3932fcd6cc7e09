from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slimmer import changeset
from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.flattening import flatten
from slimmer.inode import Kind
from slimmer.layer import read_layer

from handmade import Spec, data_of, directory, file, flattened, hard_link, symlink
from layer_cases import Layers, tars
from refused_cases import READ, REFUSED, Read, Refused

if TYPE_CHECKING:
    from slimmer.rootfs import Rootfs


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


PATHS = st.lists(st.sampled_from(["a", "b", "c", ".wh.a"]), min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", ""]), min_size=1, max_size=3).map("/".join).filter(bool)
LAYERS = st.lists(
    st.lists(
        st.one_of(
            st.builds(file, PATHS), st.builds(directory, PATHS), st.builds(symlink, PATHS, TARGETS), st.builds(hard_link, PATHS, PATHS)
        ),
        max_size=12,
    ),
    max_size=2,
)  # fmt: skip


@given(LAYERS)
@example([[directory("a"), symlink("b", "a/.."), file("b/a"), file("b/c")]])
@example([[directory("a"), file("c"), symlink("b", "a/.."), hard_link("b/a", "c"), file("b/d")]])
@example([[file("a/b"), file("c/b"), hard_link("l", "a/b"), symlink("a", "c"), hard_link("m", "a/b")]])
def test_a_way_that_is_remembered_is_the_way(layers: list[list[Spec]]) -> None:
    """Symlinks, whiteouts and files that come in the way of a path lead what follows where no memory would lead it."""

    def result() -> object:
        try:
            rootfs = flattened(*layers)
        except SourceError as error:
            return str(error)
        first: dict[int, str] = {}
        return [(path, inode.kind, inode.target, first.setdefault(id(inode), path)) for path, inode in rootfs.entries()]

    remembered = result()

    with pytest.MonkeyPatch.context() as patch:
        nothing = property(lambda _: None, lambda _self, _way: None)
        patch.setattr(changeset._Extraction, "_entered", nothing, raising=False)
        patch.setattr(changeset._Extraction, "_searched", nothing, raising=False)
        assert result() == remembered
