"""What tests of this directory share: an engine of their own, in which runs may be struck down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from own_engine import own_engine
from strikes import Arena, arena

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Give an engine with an image to slim, and an older result, whose name a run moves when all is proved."""
    place = tmp_path_factory.mktemp("e")
    with own_engine(place) as engine, arena(engine, place, milliseconds=150, megabytes=40) as found:
        found.spans(found.ways[0])
        yield found
