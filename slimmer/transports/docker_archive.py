"""`docker-archive:FILE`: what `docker save` writes, plain or packed with gzip or zstd."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer import interrupts
from slimmer.errors import SourceError, UsageError
from slimmer.formats import archive_file, docker_save, oci
from slimmer.formats.compression import Compression
from slimmer.formats.replacing import check_file, replacing, require_room, writing
from slimmer.naming import result_tag
from slimmer.platforms import Platform
from slimmer.progress import Silence, watched
from slimmer.transports import Stored, path_and_name

if TYPE_CHECKING:
    from slimmer.formats.spool import Spool
    from slimmer.formats.store import Store
    from slimmer.image import Image
    from slimmer.session import Session
    from slimmer.transports import Loaded, Wish, Writable
    from slimmer.transports import Source as AnySource

FORM = "docker-archive:FILE[:NAME]"


@dataclass(frozen=True, slots=True)
class Source:
    """An image of an archive."""

    reference: str
    path: Path
    store: Store
    spool: Spool
    described: docker_save.Described
    session: Session
    engine_id: None = None
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str | None:
        """The first name that the archive gives it."""
        return next(iter(self.described.tags), None)

    def read(self) -> Image:
        """Give the image; raise SourceError when it is damaged or for another platform than was asked for."""
        return read_store(self.store, self.described, self.spool, self.session)


def read_store(store: Store, image: docker_save.Described, spool: Spool, session: Session) -> Image:
    """Give an image of an archive that `docker save` wrote.

    manifest.json names one platform's. An engine with several keeps an OCI index beside it, in which the one that was
    asked for is looked up.
    """
    if session.platform is not None and store.find(oci.INDEX) is not None:
        chosen = oci.choose(store, None, session.platform, session.default_platform)
        with session.progress.stage("reading", oci.length(store, chosen.digest)) as stage:
            return oci.read(store, chosen.digest, spool, stage)
    length = docker_save.length(store, image)
    # Of an archive that went by as a stream nothing is left to read.
    with (session.progress if length else Silence()).stage("reading", length) as stage:
        found = docker_save.read(store, image, spool, stage)
    require_platform(Platform.of(found.config.mapping), store.reference, session)
    return found


def require_platform(platform: Platform, reference: str, session: Session) -> None:
    """Raise SourceError when an image is for another platform than was asked for."""
    if session.platform is not None and not platform.fits(session.platform):
        raise SourceError(f"{reference} is for {platform}, and {session.platform} was asked for")


@dataclass(frozen=True, slots=True)
class Target:
    """An archive file."""

    path: Path
    name: str | None
    session: Session
    in_engine: bool = False
    packs: bool = False

    @property
    def reference(self) -> str:
        """What the result is called."""
        return f"docker-archive:{self.path}"

    def check(self, source: AnySource) -> None:
        """Raise UsageError for the source's own file, DestinationError for one that cannot be written."""
        check_file(self.path, source.path)

    def put(self, image: Writable, trial: Loaded | None) -> Stored:  # noqa: ARG002 - an archive needs no engine
        """Write the archive; a file of the name is replaced when the new one is whole."""
        archive = docker_save.Archive(image.layers(), image.configure, self.name)
        directory = self.path.absolute().parent
        require_room(directory, image.size)
        with writing(self.path), replacing(directory) as (file, put_as):
            for chunk in watched(archive.chunks(), self.session.progress, "saving", image.size):
                file.write(chunk)
            # From here on the answer is yes: an interrupt that came now would have to say what is not so.
            interrupts.ignore()
            put_as(self.path)
        if archive.config is None:
            raise AssertionError("the archive ended without a configuration")
        return Stored(archive.config)


class Transport:
    """The transport."""

    name = "docker-archive"
    form = FORM

    def source(self, where: str, session: Session) -> Source:
        """Find the image of an archive; raise SourceError when it is none, or holds several and none is named."""
        path, name = path_and_name(where, FORM)
        reference = f"{self.name}:{where}"
        store, spool = session.hold(archive_file.opened(Path(path), reference, session.progress))
        images = listed = docker_save.described(store)
        if name is not None:
            tag = f"{name}:latest" if ":" not in name.rpartition("/")[2] else name
            images = tuple(image for image in images if tag in image.tags)
        if len(images) != 1:
            names = ", ".join(tag for image in listed for tag in image.tags) or "none with a name"
            raise SourceError(
                f"{path} holds {'no image named ' + name if name else f'{len(images)} images'}; there are: {names}"
                + ("" if name else f"; name one as {FORM}")
            )
        return Source(reference, Path(path), store, spool, images[0], session)

    def target(self, where: str, wish: Wish, session: Session) -> Target:
        """Give the file for a result; it bears the name that was wished, or the source's with -slim, or none."""
        path, name = path_and_name(where, FORM)
        if name is not None and wish.tag is not None:
            raise UsageError(f"--output {where} and --tag {wish.tag} name the result twice; leave one out")
        if wish.compression not in {None, Compression.NONE}:
            raise UsageError("--compression is for oci: and oci-archive:; engines keep a docker-archive's layers plain")
        tag = result_tag(wish.source.name, name or wish.tag)
        return Target(Path(path), str(tag) if tag else None, session)


transport = Transport()
