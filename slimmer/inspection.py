"""Where the bytes of an image are: by distribution, by package, by rule, by file. Changes nothing, never prints."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slimmer import __version__, transports
from slimmer.metadata.dpkg_files import Files
from slimmer.metadata.dpkg_status import installed
from slimmer.metadata.record_rows import files_of, locator
from slimmer.reading import opened
from slimmer.report import SourceFacts, printable
from slimmer.session import Session
from slimmer.survey import potentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from slimmer.inode import Inode
    from slimmer.platforms import Platform
    from slimmer.progress import Progress
    from slimmer.rootfs import Rootfs
    from slimmer.survey import Potential

SCHEMA = "slimmer-inspection/1"
_RECORD = ".dist-info/RECORD"
_MAX_LARGEST = 100


@dataclass(frozen=True, slots=True)
class Share:
    """What belongs to a name: bytes of content, each inode counted once, and files."""

    name: str
    size: int
    files: int


@dataclass(frozen=True, slots=True)
class Table:
    """A way to divide an image, the largest share first. What it divides need not add up to all of it."""

    key: str
    title: str
    heading: str
    shares: tuple[Share, ...]
    note: str = ""


@dataclass(frozen=True)
class Inspection:
    """Everything about where the bytes are."""

    source: SourceFacts
    rootfs: Rootfs
    tables: tuple[Table, ...]
    potentials: tuple[Potential, ...]
    largest: tuple[tuple[str, int], ...]
    """The largest files and their bytes."""

    def as_json(self) -> dict[str, Any]:
        """Give the facts for a program. Sizes are bytes."""
        source = self.source
        return {
            "schema": SCHEMA,
            "slimmer": __version__,
            "source": {
                "reference": printable(source.reference), "id": source.id, "size": source.size,
                "flattened_size": source.flattened_size, "layers": source.layers, "platform": source.platform,
            },
            "rules": [
                {"name": one.rule.name, "on": one.rule.on_by_default, "saves": one.saved, "files": one.files}
                for one in self.potentials
            ],
            **{table.key: [_share(share) for share in table.shares] for table in self.tables},
            "largest_files": [{"path": printable("/" + path), "size": size} for path, size in self.largest],
        }  # fmt: skip


def _share(share: Share) -> dict[str, Any]:
    return {"name": printable(share.name), "size": share.size, "files": share.files}


def inspect(reference: str, platform: Platform | None, progress: Progress) -> Inspection:
    """Say where the bytes of an image are; raise SourceError when it cannot be read."""
    with Session(progress, platform) as session:
        found = opened(transports.source(reference, session), session)
        facts = SourceFacts.of(found, reference)
        tables = divided(found.rootfs)
        return Inspection(facts, found.rootfs, tables, potentials(found, progress), largest(found.rootfs, _MAX_LARGEST))


def divided(rootfs: Rootfs) -> tuple[Table, ...]:
    """Give every way to divide a root; one more is one more line here."""
    return (
        Table(
            "distributions", "Python distributions", "distribution", _shares(_distributions(rootfs)),
            "by their RECORD; what is compiled later is in none",
        ),
        Table("packages", "Debian packages", "package", _shares(_packages(rootfs)), "by dpkg's lists"),
    )  # fmt: skip


def _distributions(rootfs: Rootfs) -> Iterator[tuple[str, Iterable[Inode]]]:
    locate = locator(rootfs)
    for path, _ in rootfs.files():
        if path.endswith(_RECORD):
            name, _, version = path.removesuffix(_RECORD).rpartition("/")[2].partition("-")
            yield f"{name} {version}", files_of(rootfs, path, locate)


def _packages(rootfs: Rootfs) -> Iterator[tuple[str, Iterable[Inode]]]:
    versions = {package.list_name: package.fields.get("version", "") for package in installed(rootfs)}
    for package, paths in Files(rootfs).listed.items():
        inodes = (inode for path in paths if (inode := rootfs.get(path)) is not None and inode.content is not None)
        yield f"{package} {versions.get(package, '')}".rstrip(), inodes


def _shares(owners: Iterable[tuple[str, Iterable[Inode]]]) -> tuple[Share, ...]:
    """Give what each owner has, the largest first; an inode that two of them name counts for the first."""
    taken: set[Inode] = set()
    sizes: dict[str, tuple[int, int]] = {}
    for name, inodes in owners:
        size, files = sizes.get(name, (0, 0))
        for inode in inodes:
            if inode not in taken:
                taken.add(inode)
                size, files = size + inode.size, files + 1
        sizes[name] = size, files
    shares = (Share(name, *counts) for name, counts in sizes.items())
    return tuple(sorted(shares, key=lambda share: (-share.size, share.name)))


def usual_name(names: Sequence[str]) -> str:
    """Give that of a file's names by which a person knows it: one in no hidden directory, where caches are."""
    return next((name for name in names if not name.startswith(".") and "/." not in name), names[0])


def largest(rootfs: Rootfs, count: int) -> tuple[tuple[str, int], ...]:
    """Give the largest files and their bytes, the largest first."""
    files = ((usual_name(names), inode.size) for names, inode in rootfs.named_files())
    return tuple(heapq.nsmallest(count, files, key=lambda item: (-item[1], item[0])))
