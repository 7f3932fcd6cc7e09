"""Chunks that are views of memory, as files read past the kernel's memory come, arrive in an engine as they were."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from slimmer.chunks import CHUNK
from slimmer.engine import Engine
from slimmer.formats.docker_save import Archive
from slimmer.image import Config
from slimmer.reference import Tag

from handmade import file, make_tar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker_cli import Docker

pytestmark = pytest.mark.engine
LAYER = make_tar(file("large", os.urandom(3 * CHUNK + 5)))
DIFF_ID = "sha256:" + hashlib.sha256(LAYER).hexdigest()


def views() -> Iterator[memoryview]:
    """Give the layer as views of parts of it."""
    whole = memoryview(LAYER)
    for start in range(0, len(LAYER), CHUNK):
        yield whole[start : start + CHUNK]


def test_a_layer_that_is_imported(docker: Docker) -> None:
    """A body of known length is sent as it is."""
    name = docker.will_make("slimmer-views:imported")
    with Engine.connect() as engine:
        engine.import_layer(views(), len(LAYER), Tag.parse(name))

    assert docker.inspect(name)["RootFS"]["Layers"] == [DIFF_ID]


def test_an_archive_that_is_loaded(docker: Docker) -> None:
    """A body of unknown length is sent in HTTP's chunks."""
    name = docker.will_make("slimmer-views:loaded")
    raw = b'{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}'
    config = Config.parse(raw.replace(b"%s", DIFF_ID.encode()), name)
    with Engine.connect() as engine:
        engine.load(Archive([(len(LAYER), views())], lambda _: config, name).chunks(), Tag.parse(name))

    assert docker.inspect(name)["RootFS"]["Layers"] == [DIFF_ID]
