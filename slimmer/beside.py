"""Questions to an engine that are asked beside the work, because an image decides how long the answer takes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Answer = TypeVar("_Answer")

OUTPUT_LIMIT = 4 << 20
"""Bytes that are kept of what a command says to its standard output, and as many of its standard error."""


class Beside(threading.Thread, Generic[_Answer]):
    """A question, asked from the beginning."""

    def __init__(self, ask: Callable[[], _Answer]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._found: _Answer | None = None
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Ask."""
        try:
            self._found = self._ask()
        except Exception as error:  # noqa: BLE001 - raised where the answer is asked for
            self._error = error

    def answer(self) -> _Answer | None:
        """Give the answer, or raise what came of the question."""
        if self._error is not None:
            raise self._error
        return self._found


class Heard:
    """What a command says, up to the limit of standard output and of standard error."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - the SDK's, which has no type
        self._stream = stream
        self._parts: tuple[list[bytes], list[bytes]] = ([], [])

    def listen(self) -> None:
        """Keep what comes until it ends; what is more is heard and forgotten, or the command would wait."""
        sizes = [0, 0]
        try:
            for pair in self._stream:
                for index, part in enumerate(pair):
                    if part and sizes[index] < OUTPUT_LIMIT:
                        self._parts[index].append(part[: OUTPUT_LIMIT - sizes[index]])
                        sizes[index] += len(part)
        finally:
            self._stream._response.close()  # noqa: SLF001 - the SDK leaves it to its caller and gives no other way

    def said(self) -> tuple[str, str]:
        """Give what came until now: standard output and standard error."""
        stdout, stderr = (b"".join(list(parts)).decode("utf-8", "replace") for parts in self._parts)
        return stdout, stderr
