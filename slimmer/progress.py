"""How the work says how far it is, without knowing who listens."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from slimmer.chunks import AnyChunk, Chunk


class Stage(Protocol):
    """A piece of work under way."""

    def advance(self, amount: int) -> None:
        """Say that AMOUNT more is done, in the unit of the stage."""


class Progress(Protocol):
    """Whoever listens: bars, plain lines or nobody."""

    def stage(self, name: str, total: int | None, unit: str = "B") -> AbstractContextManager[Stage]:
        """Begin a piece of work of TOTAL units: `B` for bytes, or a noun. None when nobody knows how much it is."""

    def note(self, text: str) -> None:
        """Say one sentence that matters now."""

    def detail(self, text: str) -> None:
        """Say one sentence to whoever wants to know everything."""


def watched(chunks: Iterator[AnyChunk], progress: Progress, name: str, total: int) -> Iterator[AnyChunk]:
    """Give the chunks, as a stage of TOTAL bytes that lasts from the first to the last."""
    with progress.stage(name, total) as stage:
        yield from heard(chunks, stage)


def heard(chunks: Iterator[AnyChunk], stage: Stage) -> Iterator[AnyChunk]:
    """Give the chunks; STAGE hears of each before it is given."""
    for chunk in chunks:
        stage.advance(len(chunk))
        yield chunk


def watched_layers(
    layers: Iterable[tuple[int, Iterator[Chunk]]], progress: Progress, name: str, total: int
) -> Iterator[tuple[int, Iterator[Chunk]]]:
    """Give the layers, each its length and its chunks, as one stage of TOTAL bytes."""
    with progress.stage(name, total) as stage:
        for size, chunks in layers:
            yield size, heard(chunks, stage)


class Silence:
    """Nobody listens."""

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "B") -> Iterator[Silence]:  # noqa: ARG002 - nobody asks
        """Begin a piece of work."""
        yield self

    def advance(self, amount: int) -> None:
        """Hear of progress."""

    def note(self, text: str) -> None:
        """Hear a sentence."""

    def detail(self, text: str) -> None:
        """Hear a sentence."""
