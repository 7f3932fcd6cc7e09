"""An image found, read and flattened: what every command begins with."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.errors import SourceError
from slimmer.flattening import flatten
from slimmer.layer import read_layer
from slimmer.layer_tree import WHITEOUT
from slimmer.platforms import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from slimmer.content import Content
    from slimmer.image import Config, Image, Layer
    from slimmer.layer import Entry
    from slimmer.progress import Stage
    from slimmer.rootfs import Rootfs
    from slimmer.session import Session
    from slimmer.transports import Source

    Seen = Callable[[Config, Sequence[tuple[str, Content]]], None]


_MANY = 4096


@dataclass(frozen=True, slots=True)
class Opened:
    """An image that can be looked at until its session ends. Sizes are bytes of content."""

    source: Source
    config: Config
    original: Image | None
    """The image as it was read, for who puts it into an engine; None where the engine has it: its layers are let go."""
    layers: int
    rootfs: Rootfs
    size: int
    """Of all layers, each counted by itself, as a graph driver's engine counts them."""
    flattened_size: int
    """Of what a container sees, each inode counted once."""

    @property
    def id(self) -> str:
        """What the engine knows the image by; the digest of its configuration where it lies in none."""
        return self.source.engine_id or self.config.id


def opened(source: Source, session: Session, seen: Seen | None = None) -> Opened:
    """Give the image of a source; raise SourceError when it is damaged, not for Linux, or holds nothing.

    SEEN hears of the files of each layer while that is read, many at a time, whatever a later layer makes of them.
    """
    image = source.read()
    config, layers, count = image.config, deque(image.layers), len(image.layers)
    Platform.of(config.mapping).require_linux(source.reference)
    # Where all of a layer's files lie takes as much memory as what they are.
    original = image if source.engine_id is None else None
    del image
    sizes: list[int] = []
    with session.progress.stage("flattening", count, "layer") as stage:
        rootfs = flatten(_entries(config, layers, sizes, stage, seen))
    flattened_size = rootfs.size()
    if not flattened_size:
        raise SourceError(f"{source.reference} holds no files; there is nothing to slim")
    return Opened(source, config, original, count, rootfs, sum(sizes), flattened_size)


def _entries(
    config: Config, layers: deque[Layer], sizes: list[int], stage: Stage, seen: Seen | None
) -> Iterator[tuple[str, Iterator[Entry]]]:
    """Give each layer's name and entries; none is held longer. STAGE hears of every one that is done, SEEN of files."""
    while layers:
        layer = layers.popleft()
        entries = read_layer(layer.content, layer.diff_id)
        if seen is not None:
            entries = _shown(entries, config, seen)
        yield layer.diff_id, _counted(entries, sizes)
        stage.advance(1)


def _shown(entries: Iterable[Entry], config: Config, seen: Seen) -> Iterator[Entry]:
    """Give the same entries; SEEN hears of their regular files, each under its first name."""
    files: list[tuple[str, Content]] = []
    for entry in entries:
        if entry.inode.content is not None:
            files.append((entry.path, entry.inode.content))
            if len(files) == _MANY:
                seen(config, files)
                files = []
        yield entry
    seen(config, files)


def _counted(entries: Iterable[Entry], sizes: list[int]) -> Iterator[Entry]:
    """Give the entries of a layer; afterwards SIZES has one more, the bytes that an engine counts for it."""
    size = 0
    for entry in entries:
        if entry.link_to is None and not entry.path.rpartition("/")[2].startswith(WHITEOUT):
            size += entry.inode.size
        yield entry
    sizes.append(size)
