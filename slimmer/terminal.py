"""Progress for a person: bars on a terminal, plain lines where output is kept, nothing where nobody reads."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

from slimmer.progress import Progress, Silence, Stage
from slimmer.report import printable
from slimmer.summary import duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS_BETWEEN_LINES = 10.0
_NAME_WIDTH = 10


def listener(choice: str, *, verbose: bool = False) -> Progress:
    """Give who listens: CHOICE is `auto`, `plain` or `none`; only who is VERBOSE tells details."""
    if choice == "none":
        return Silence()
    # A CI job's log is kept, also where the job is given a terminal: bars would be a line for each of their states.
    is_terminal = choice == "auto" and sys.stderr.isatty() and not in_ci()
    return Bars(sys.stderr, verbose=verbose) if is_terminal else Lines(sys.stderr, verbose=verbose)


def in_ci() -> bool:
    """Say whether a CI service runs this: each of them sets CI."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


class Bars:
    """A bar per stage: bytes, rate and time left. It stays when it is done, so that one sees what took how long."""

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        self._stream = stream
        self._verbose = verbose

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "B") -> Iterator[Stage]:
        """Show a bar while the stage lasts."""
        is_bytes = unit == "B"
        bar = tqdm(
            total=total, desc=f"{name:<{_NAME_WIDTH}}", unit=unit if is_bytes else f" {unit}",
            unit_scale=is_bytes, unit_divisor=1000, file=self._stream, dynamic_ncols=True, leave=True,
            mininterval=0.1, smoothing=0.1,
            bar_format=None if is_bytes else "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]",
        )  # fmt: skip
        try:
            yield _BarStage(bar)
        except BaseException:
            bar.close()
            raise
        if total is None or is_bytes:
            bar.total = bar.n  # nobody knew before; an engine's own count is an estimate of the archive's length
        bar.refresh()
        bar.close()

    def note(self, text: str) -> None:
        """Print a sentence above the bars."""
        tqdm.write(f"slimmer: {printable(text)}", file=self._stream)

    def detail(self, text: str) -> None:
        """Print a sentence for who wants to know everything."""
        if self._verbose:
            self.note(text)


class _BarStage:
    def __init__(self, bar: tqdm) -> None:  # type: ignore[type-arg] # generic in its stubs only
        self._bar = bar

    def advance(self, amount: int) -> None:
        """Move the bar; a total that turns out too small grows with it."""
        if self._bar.total is not None and self._bar.n + amount > self._bar.total:
            self._bar.total = self._bar.n + amount
        self._bar.update(amount)


class Lines:
    """A line when a stage begins, one every ten seconds, one when it ends."""

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        self._stream = stream
        self._verbose = verbose

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "B") -> Iterator[Stage]:
        """Say that the stage begins, how far it is, and that it is done."""
        stage = _LineStage(self, name, total, unit)
        yield stage
        stage.end()

    def note(self, text: str) -> None:
        """Print a sentence."""
        print(f"slimmer: {printable(text)}", file=self._stream, flush=True)

    def detail(self, text: str) -> None:
        """Print a sentence for who wants to know everything."""
        if self._verbose:
            self.note(text)


class _LineStage:
    def __init__(self, lines: Lines, name: str, total: int | None, unit: str) -> None:
        self._lines = lines
        self._name = name
        self._total = total
        self._unit = unit
        self._done = 0
        self._started = self._said = time.monotonic()
        self._first: float | None = None
        lines.note(f"{name}{'' if total is None else f' {self._amount(total)}'}")

    def advance(self, amount: int) -> None:
        """Count, and say so now and then."""
        now = time.monotonic()
        if self._first is None:
            self._first = now  # an engine may prepare for minutes before the first byte; that is not its rate
        self._done += amount
        if now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            share = f" ({min(99, 100 * self._done // self._total)} %)" if self._total else ""
            self._lines.note(f"{self._name}: {self._amount(self._done)}{share}{self._rate(now)}")

    def end(self) -> None:
        """Say that it is done."""
        now = time.monotonic()
        self._lines.note(f"{self._name} done: {self._amount(self._done)} in {duration(now - self._started)}")

    def _rate(self, now: float) -> str:
        seconds = now - (self._first or now)
        if self._unit != "B" or seconds < 1:
            return ""
        rate = self._done / seconds
        left = (
            f", {duration((self._total - self._done) / rate)} left"
            if self._total and rate and self._total > self._done
            else ""
        )
        return f", {size(rate)}/s{left}"

    def _amount(self, count: int) -> str:
        return size(count) if self._unit == "B" else f"{count} {self._unit}{'' if count == 1 else 's'}"
