"""Flattening compared with the engine's own merged view, on images made at random.

25 images, always the same, unless SLIMMER_RANDOM_IMAGES says how many others to try.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, event, given, settings

from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.flattening import flatten
from slimmer.formats import overlay2
from slimmer.formats.overlay2 import NotInPlace, local_root
from slimmer.layer import read_layer
from slimmer.layer_writer import layer_chunks

from handmade import make_tar
from merged import differences, expected_view, of_the_result, shown
from random_images import images

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker_cli import Docker
    from handmade import Spec
    from merged import Facts

pytestmark = pytest.mark.engine

HOW_MANY = os.environ.get("SLIMMER_RANDOM_IMAGES")


def shown_or_refused(
    docker: Docker, layers: list[bytes], directory: Path, look: Callable[[Spec, dict[str, Facts]], None]
) -> dict[str, Facts] | None:
    """Give what the engine shows of an image, and has LOOK called with it; None when it refuses it."""
    try:
        return shown(docker, layers, directory, look)
    except AssertionError as error:
        if "Error processing tar file" not in str(error):
            raise
        return None


def in_place_as_shown(docker: Docker, inspected: Spec, original: dict[str, Facts]) -> None:
    """Assert that an image read where the engine keeps it is what the engine shows, or one that it cannot give itself."""
    root = local_root(json.loads(docker("info", "--format", "{{json .}}")), "")
    assert isinstance(root, Path)
    kept = overlay2.layers(root, inspected["RootFS"]["Layers"])
    refusal = kept.reason if isinstance(kept, NotInPlace) else None
    if not isinstance(kept, NotInPlace):
        try:
            rootfs = flatten((layer.diff_id, read_layer(layer.content, layer.diff_id)) for layer in kept)
            view = expected_view(rootfs, original)
        except SourceError as error:
            refusal = str(error)
    if refusal is not None:
        is_lost = "the engine cannot give" in refusal or "where the engine keeps it" in refusal
        event("refused in place: bytes that are no more" if is_lost else "refused in place")
        if is_lost:
            with pytest.raises(AssertionError, match=r"failed|no such file|not a directory"):
                docker.bytes_of("save", inspected["Id"])
        return
    event("compared in place")
    assert not differences(original, view)


@settings(
    max_examples=int(HOW_MANY or 25),
    derandomize=HOW_MANY is None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(image=images)
def test_a_random_image_is_what_the_engine_shows(docker: Docker, tmp_path: Path, image: list[list[Spec]]) -> None:
    """What the engine shows of the layers, slimmer's root says and the engine shows again of slimmer's one layer."""
    layers = [make_tar(*entries) for entries in image]
    original = shown_or_refused(docker, layers, tmp_path, partial(in_place_as_shown, docker))
    try:
        rootfs = flatten(
            (f"layer {number}", read_layer(Content.of(tar), f"layer {number}")) for number, tar in enumerate(layers)
        )
    except SourceError:
        event("refused by slimmer")
        assert original is None
        return
    if original is None:
        event("refused by the engine, read by slimmer")
        return
    event("compared")
    assert not differences(original, expected_view(rootfs, original))

    again = shown(docker, [b"".join(layer_chunks(rootfs.as_layer()))], tmp_path)

    assert not differences(of_the_result(original), again)
