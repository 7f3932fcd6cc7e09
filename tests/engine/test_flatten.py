"""Flattening compared with the engine's own merged view, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.flattening import flatten
from slimmer.layer import read_layer
from slimmer.layer_writer import layer_chunks

from handmade import directory, file, hard_link, make_tar
from layer_cases import ACCESS_LIST, TAKEN, Layers, tars
from merged import differences, expected_view, mounted, of_the_result, shown
from refused_cases import READ, REFUSED, Read, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.rootfs import Rootfs

    from docker_cli import Docker


pytestmark = pytest.mark.engine


def slimmers(layers: list[bytes]) -> Rootfs:
    """Give what slimmer makes of the layers."""
    return flatten(
        (f"layer {number}", read_layer(Content.of(tar), f"layer {number}")) for number, tar in enumerate(layers)
    )


@pytest.mark.parametrize("layers", TAKEN.values(), ids=TAKEN)
def test_slimmer_says_what_the_engine_shows(docker: Docker, tmp_path: Path, layers: Layers) -> None:
    """Every fact of every path is what the engine shows, and it shows the same again of slimmer's own layer."""
    original = shown(docker, tars(layers), tmp_path)
    rootfs = slimmers(tars(layers))

    assert not differences(original, expected_view(rootfs, original))
    again = shown(docker, [b"".join(layer_chunks(rootfs.as_layer()))], tmp_path)
    assert not differences(of_the_result(original), again)


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_what_the_engine_refuses_and_means_something_is_read(docker: Docker, tmp_path: Path, case: Read) -> None:
    """Other engines and archives have such layers; slimmer's own layer of them is one that this engine takes."""
    with pytest.raises(AssertionError, match=case.engine):
        shown(docker, tars(case.layers), tmp_path)

    rootfs = slimmers(tars(case.layers))

    assert {path for path, _ in rootfs.entries()} == case.paths
    if case.engine != "file name too long":  # which no layer mends
        again = shown(docker, [b"".join(layer_chunks(rootfs.as_layer()))], tmp_path)
        assert not differences(expected_view(rootfs, {}), again)


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_one_sentence(docker: Docker, tmp_path: Path, case: Refused) -> None:
    """A layer that cannot be is a SourceError with the entry's name, also where the engine looks away."""
    if case.engine is not None:
        with pytest.raises(AssertionError, match=case.engine):
            shown(docker, tars(case.layers), tmp_path)
    else:
        shown(docker, tars(case.layers), tmp_path)

    with pytest.raises(SourceError) as refused:
        slimmers(tars(case.layers))

    assert case.slimmer in str(refused.value)
    assert refused.value.exit_code == 4


def test_aufs_own_files_stay_behind(docker: Docker, tmp_path: Path) -> None:
    """The engine shows what aufs left in old images; slimmer keeps the files that it holds for hard links, and no more."""
    layers = tars([
        [directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", b"x"), file(".wh..wh.aufs"), file("a")],
        [directory(".wh..wh.plnk"), file(".wh..wh.plnk/3.4", b"y"), hard_link("l", ".wh..wh.plnk/3.4")],
    ])  # fmt: skip
    original = shown(docker, layers, tmp_path)
    assert set(original) == {".wh..wh.plnk", ".wh..wh.plnk/1.2", ".wh..wh.plnk/3.4", "a", "l"}

    again = shown(docker, [b"".join(layer_chunks(slimmers(layers).as_layer()))], tmp_path)

    assert again == {"a": original["a"], "l": replace(original["l"], names=("l",))}


def test_a_container_never_sees_the_roots_own_metadata(docker: Docker, tmp_path: Path) -> None:
    """What a layer says of the root is not compared: a container's root is the engine's own, whatever it is."""
    docker.image("slimmer-test/root:1", [make_tar(directory("/", mode=0o700, owner=(3, 3)), file("a"))])

    with mounted(docker.inspect("slimmer-test/root:1"), tmp_path) as root:
        status = root.stat()

    assert (status.st_mode & 0o7777, status.st_uid) == (0o755, 0)


def test_default_access_lists_are_inherited_again(docker: Docker, tmp_path: Path) -> None:
    """Files below a directory with a default list get it as they are extracted, from the source and from slimmer's layer."""
    record = {"SCHILY.xattr.system.posix_acl_default": ACCESS_LIST}
    layers = tars([[directory("d", pax=record), file("d/a", mode=0o664), directory("d/e"), file("d/e/f")]])
    original = shown(docker, layers, tmp_path)
    assert "system.posix_acl_access" in dict(original["d/a"].xattrs)

    again = shown(docker, [b"".join(layer_chunks(slimmers(layers).as_layer()))], tmp_path)

    assert not differences(original, again)
