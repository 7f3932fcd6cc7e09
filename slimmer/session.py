"""What the parts of one run share: the engine, reached when the first of them asks, and what the person chose."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, TypeVar

from slimmer.engine import Engine
from slimmer.errors import SourceError
from slimmer.platforms import Platform

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from slimmer.progress import Progress


MAY_BE_LEFT = "`slimmer clean` removes what may be left in the engine"
"""What a KeyboardInterrupt notes (PEP 678) that ends a run whose cleaning up was not done."""
_Held = TypeVar("_Held")


class Session:
    """A run. A context: at its end the engine is let go, and whatever was opened for it."""

    def __init__(self, progress: Progress, platform: Platform | None = None) -> None:
        self.progress = progress
        self.platform = platform
        """The platform that was asked for."""
        self._stack = ExitStack()
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt) and self._engine is not None and not self._engine.is_tidy:
            error.add_note(MAY_BE_LEFT)
        self._stack.close()

    def hold(self, context: AbstractContextManager[_Held]) -> _Held:
        """Enter a context that lasts as long as the session."""
        return self._stack.enter_context(context)

    @property
    def engine(self) -> Engine:
        """The engine; raises SourceError, saying how to start one, when none answers."""
        if self._engine is None:
            self._engine = self.hold(Engine.connect(self.progress))
        return self._engine

    def default_platform(self) -> Platform:
        """Give the platform to choose where an image has several: asked for, or the engine's, or this machine's."""
        if self.platform is not None:
            return self.platform
        try:
            return self.engine.platform()
        except SourceError:
            return Platform.of_this_machine()  # archives are slimmed without any engine, too
