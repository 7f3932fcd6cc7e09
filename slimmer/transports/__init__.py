"""Where images come from and go to, one source and sink per file.

A transport is a module of this package with a constant `transport`; it is found by being there. Their names are those
of containers-transports(5).
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from slimmer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from slimmer.chunks import Chunk
    from slimmer.formats.compression import Compression
    from slimmer.formats.oci_write import Descriptor
    from slimmer.image import Config, Digest, Image
    from slimmer.session import Session

DEFAULT = "docker-daemon"


@dataclass(frozen=True, slots=True)
class Place:
    """A transport, and what it is told: a name, or a path and a name."""

    transport: str
    where: str

    def __str__(self) -> str:
        return f"{self.transport}:{self.where}"


@dataclass(frozen=True, slots=True)
class Writable:
    """An image to write: its layers, which can be read again and again, and the configuration of their diff_ids."""

    layers: Callable[[], Iterable[tuple[int, Iterator[Chunk]]]]
    """Each layer's length in bytes and its uncompressed tar, oldest first."""
    configure: Callable[[tuple[Digest, ...]], Config]
    size: int
    """Length in bytes of all layers."""
    is_one_layer: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that slimmer put into the engine: its configuration, and what the engine says of it."""

    config: Config
    inspected: dict[str, Any]
    compressed_size: int | None = None
    """Bytes of its layers as they were packed for the engine; None where they were sent plain."""
    layers: tuple[Descriptor, ...] = ()
    """Its layers, oldest first, as they were sent, by which the engine finds them again."""

    @property
    def id(self) -> str:
        """What the engine knows it by."""
        return str(self.inspected["Id"])


@dataclass(frozen=True, slots=True)
class Stored:
    """An image that was put where it is to go: its configuration, and its layers' bytes where those are packed."""

    config: Config
    compressed_size: int | None = None


class Source(Protocol):
    """An image that was found and can be read."""

    @property
    def reference(self) -> str:
        """What the person called it."""

    @property
    def name(self) -> str | None:
        """The name that the result's default name is made of; None where the image has none."""

    @property
    def path(self) -> Path | None:
        """The file or directory that it lies in; None for an engine's."""

    @property
    def engine_id(self) -> str | None:
        """What the engine knows it by; None when it does not lie there."""

    @property
    def tags(self) -> tuple[str, ...]:
        """All names that it has in the engine."""

    def read(self) -> Image:
        """Give the image, readable until the session ends; raise SourceError when it cannot be read."""


class Target(Protocol):
    """Where the result is to go."""

    @property
    def reference(self) -> str:
        """What the result is called there."""

    @property
    def name(self) -> str | None:
        """The name that the result bears, as an engine would know it; None where it has none."""

    @property
    def in_engine(self) -> bool:
        """Whether it goes into the engine, where a trial image can become it."""

    @property
    def packs(self) -> bool:
        """Whether its layers are compressed when they are put there."""

    def check(self, source: Source) -> None:
        """Raise, before the work and again after it, when putting the result there would take what is another's."""

    def put(self, image: Writable, trial: Loaded | None) -> Stored:
        """Put the result there, whole or not at all, and say what was put; TRIAL is the same in the engine."""


class Transport(Protocol):
    """A kind of place."""

    name: str
    form: str
    """How a person writes it."""

    def source(self, where: str, session: Session) -> Source:
        """Find the image that WHERE names; raise SourceError when there is none."""

    def target(self, where: str, wish: Wish, session: Session) -> Target:
        """Give the place that WHERE names for a result; raise UsageError when it makes no sense."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person said about the result, beside the place: its name, how layers are compressed; and its source."""

    tag: str | None
    compression: Compression | None
    source: Source


def discover() -> dict[str, Transport]:
    """Give every transport by its name."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    transports: list[Transport] = [module.transport for module in modules if hasattr(module, "transport")]
    return {transport.name: transport for transport in sorted(transports, key=lambda transport: transport.name)}


def place(text: str) -> Place:
    """Give the place that a person wrote; what begins with no transport's name is a name in the engine.

    Raises UsageError for a file that was given without saying what it is.
    """
    name, colon, where = text.partition(":")
    if colon and name in discover():
        return Place(name, where)
    if text.startswith(("/", "./", "../")):
        raise UsageError(f"{text!r} is a path; say what lies there: {_forms()}")
    return Place(DEFAULT, text)


def source(text: str, session: Session) -> Source:
    """Find the image that TEXT names; raise UsageError or SourceError."""
    found = place(text)
    return discover()[found.transport].source(found.where, session)


def target_place(text: str) -> Place:
    """Give the place that a person wrote for a result; raise UsageError unless it begins with a transport's name."""
    name, colon, where = text.partition(":")
    if not colon or name not in discover():
        raise UsageError(f"--output {text} does not say what to write; it has one of the forms {_forms()}")
    return Place(name, where)


def _forms() -> str:
    return ", ".join(transport.form for transport in discover().values())


def path_and_name(where: str, form: str) -> tuple[str, str | None]:
    """Split `PATH[:NAME]`: a path that exists is taken whole, else what follows its first colon is the name.

    Raises UsageError, with the FORM that is expected, where either is empty.
    """
    path, colon, name = (where, "", "") if where and Path(where).exists() else where.partition(":")
    if not path or (colon and not name):
        raise UsageError(f"{where!r} does not name a file; the form is {form}")
    return path, name or None
