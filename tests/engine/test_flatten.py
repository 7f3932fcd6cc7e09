"""Flattening compared with the engine's own merged view, case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.layer import layer_chunks, read_layer
from slimmer.rootfs import Rootfs, flatten

from layer_cases import TAKEN, Layers, tars
from merged import differences, expected_view, of_the_result, shown
from refused_cases import READ, REFUSED, Read, Refused

if TYPE_CHECKING:
    from pathlib import Path

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
    again = shown(docker, [b"".join(layer_chunks(rootfs.entries()))], tmp_path)
    assert not differences(of_the_result(original), again)


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_what_the_engine_refuses_and_means_something_is_read(docker: Docker, tmp_path: Path, case: Read) -> None:
    """Other engines and archives have such layers; slimmer's own layer of them is one that this engine takes."""
    with pytest.raises(AssertionError, match=case.engine):
        shown(docker, tars(case.layers), tmp_path)

    rootfs = slimmers(tars(case.layers))

    assert {path for path, _ in rootfs.entries()} == case.paths
    if case.engine != "file name too long":  # which no layer mends
        again = shown(docker, [b"".join(layer_chunks(rootfs.entries()))], tmp_path)
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
