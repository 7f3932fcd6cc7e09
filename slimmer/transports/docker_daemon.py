"""`docker-daemon:NAME`, and every name without a transport: images in a Docker engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slimmer import interrupts
from slimmer.errors import DestinationError, SourceError, UsageError
from slimmer.formats import docker_save, overlay2
from slimmer.formats.overlay2 import NotInPlace
from slimmer.formats.spool import Spool, require_room
from slimmer.formats.store import Archive
from slimmer.naming import is_result, result_tag
from slimmer.platforms import Platform
from slimmer.progress import watched
from slimmer.reference import Tag, is_name
from slimmer.transports import Stored
from slimmer.transports.docker_archive import read_store, require_platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.engine import Engine
    from slimmer.image import Image
    from slimmer.session import Session
    from slimmer.transports import Loaded, Wish, Writable
    from slimmer.transports import Source as AnySource

FORM = "docker-daemon:NAME"


@dataclass(frozen=True, slots=True)
class Source:
    """An image that the engine has, known by its ID: a tag may move while slimmer works."""

    reference: str
    engine_id: str
    size: int
    tags: tuple[str, ...]
    session: Session
    path: None = None

    @property
    def name(self) -> str | None:
        """The name that the person gave, unless that was an ID; with `localhost/` where Podman knows it by that."""
        if not is_name(self.reference):
            return None
        local = f"localhost/{Tag.parse(self.reference)}"
        return local if local in self.tags else self.reference

    @classmethod
    def of(cls, inspected: Mapping[str, Any], reference: str, session: Session) -> Source:
        """Give the image that an engine's answer describes; raise SourceError when it is none that can be slimmed."""
        Platform(str(inspected.get("Os") or "linux"), "").require_linux(reference)
        if not (inspected.get("RootFS") or {}).get("Layers"):
            raise SourceError(f"{reference} has no layers; there is nothing to slim")
        tags = tuple(inspected.get("RepoTags") or ())
        return cls(reference, str(inspected["Id"]), int(inspected["Size"]), tags, session)

    def read(self) -> Image:
        """Give the image: where it lies, if that is on this machine and can be read, else as the engine sends it.

        Raises SourceError when it, or the room for it, is missing.
        """
        session = self.session
        root = overlay2.local_root(session.engine.info, session.engine.where)
        image = root if isinstance(root, NotInPlace) else overlay2.read(root, self.engine_id, self.reference)
        if isinstance(image, NotInPlace):
            session.progress.detail(f"reading through the engine, because {image.reason}")
            return self._sent()
        require_platform(Platform.of(image.config.mapping), self.reference, session)
        return image

    def _sent(self) -> Image:
        session = self.session
        require_room(self.size, f"reading {self.reference} takes", SourceError)
        spool = session.hold(Spool.open(self.reference))
        saved = watched(session.engine.save(self.engine_id), session.progress, "reading", self.size)
        store = Archive.in_stream(saved, self.reference, spool)
        images = docker_save.described(store)
        if len(images) != 1:
            raise SourceError(f"the engine sent {len(images)} images where {self.reference} was asked for")
        return read_store(store, images[0], spool, session)


@dataclass(frozen=True, slots=True)
class Target:
    """A name in the engine."""

    tag: Tag
    is_default: bool
    session: Session
    in_engine: bool = True
    packs: bool = False

    @property
    def reference(self) -> str:
        """What the result is called."""
        return str(self.tag)

    @property
    def name(self) -> str | None:
        """The name that the result bears."""
        return str(self.tag)

    def check(self, source: AnySource) -> None:
        """Raise when the name is the source's own, or another's that nobody said it may be taken from."""
        _refuse_to_take(self.session.engine, self.tag, source, is_default=self.is_default)

    def put(self, image: Writable, trial: Loaded | None) -> Stored:
        """Give the name to the trial image."""
        if trial is None:
            raise AssertionError(f"a result of {image.size} bytes for the engine is put there as a trial first")
        # From here on the answer is yes: an interrupt that came now would have to say what is not so.
        interrupts.ignore()
        self.session.engine.tag(trial.id, self.tag.repository, self.tag.tag)
        return Stored(trial.config, trial.compressed_size)


def _refuse_to_take(engine: Engine, tag: Tag, source: AnySource, *, is_default: bool) -> None:
    """Raise when the result's name belongs to an image that would lose it without anybody having said so.

    The engine is asked what the name means: `docker.io/library/app:1` and `app:1` are one. Whether slimmer made the
    image that has the name is read from its history, since an image built on a slimmed one inherits its labels.
    """
    existing = engine.find(str(tag))
    if existing is None:
        return
    if existing["Id"] == source.engine_id or str(tag) in source.tags:
        raise UsageError(f"{tag} is a name of the source image, which slimmer never takes; name the result otherwise")
    if is_default and not is_result(existing, engine.last_step(str(tag))):
        raise DestinationError(f"{tag} exists and was not made by slimmer; to replace it all the same, say --tag {tag}")


class Transport:
    """The transport."""

    name = "docker-daemon"
    form = FORM

    def source(self, where: str, session: Session) -> Source:
        """Find the image that WHERE names now; raise SourceError when there is none or none that can be slimmed."""
        return Source.of(session.engine.inspect(where), where, session)

    def target(self, where: str, wish: Wish, session: Session) -> Target:
        """Give the name for a result; raise UsageError when it has none or two."""
        if where and wish.tag is not None:
            raise UsageError(f"--output {where} and --tag {wish.tag} name the result twice; leave one out")
        if wish.compression is not None:
            raise UsageError("--compression is for oci: and oci-archive:; an engine keeps layers in its own way")
        tag = result_tag(wish.source.name, where or wish.tag)
        if tag is None:
            raise UsageError(
                f"{wish.source.reference} has no name that -slim could be added to; name the result with --tag"
            )
        return Target(tag, is_default=not where and wish.tag is None, session=session)


transport = Transport()
