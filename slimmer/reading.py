"""An image found, read and flattened: what every command begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.changeset import WHITEOUT
from slimmer.errors import SourceError
from slimmer.layer import read_layer
from slimmer.platforms import Platform
from slimmer.rootfs import flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from slimmer.content import Content
    from slimmer.image import Config, Image
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
    image: Image
    rootfs: Rootfs
    size: int
    """Of all layers, each counted by itself, as a graph driver's engine counts them."""
    flattened_size: int
    """Of what a container sees, each inode counted once."""

    @property
    def id(self) -> str:
        """What the engine knows the image by; the digest of its configuration where it lies in none."""
        return self.source.engine_id or self.image.config.id


def opened(source: Source, session: Session, seen: Seen | None = None) -> Opened:
    """Give the image of a source; raise SourceError when it is damaged, not for Linux, or holds nothing.

    SEEN hears of the files of each layer while that is read, many at a time, whatever a later layer makes of them.
    """
    image = source.read()
    Platform.of(image.config.mapping).require_linux(source.reference)
    sizes: list[int] = []
    with session.progress.stage("flattening", len(image.layers), "layer") as stage:
        rootfs = flatten(_entries(image, sizes, stage, seen))
    flattened_size = rootfs.size()
    if not flattened_size:
        raise SourceError(f"{source.reference} holds no files; there is nothing to slim")
    return Opened(source, image, rootfs, sum(sizes), flattened_size)


def _entries(image: Image, sizes: list[int], stage: Stage, seen: Seen | None) -> Iterator[tuple[str, Iterator[Entry]]]:
    """Give each layer's name and entries; STAGE hears of every layer that is done, SEEN of its files."""
    for layer in image.layers:
        entries = read_layer(layer.content, layer.diff_id)
        if seen is not None:
            entries = _shown(entries, image.config, seen)
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
    inodes: dict[int, int] = {}
    for entry in entries:
        if entry.link_to is None and not entry.path.rpartition("/")[2].startswith(WHITEOUT):
            inodes[id(entry.inode)] = entry.inode.size
        yield entry
    sizes.append(sum(inodes.values()))
