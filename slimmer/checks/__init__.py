"""The checks, one per file. A check is a module of this package with a constant `check`; it is found by being there.

Each looks at the original and at the slimmed image and compares: what was broken before is not blamed on slimming,
and what worked must work the same.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from slimmer.containers import Completed, Containers
    from slimmer.image import Config, Image
    from slimmer.plan import Plan
    from slimmer.progress import Progress
    from slimmer.rootfs import Rootfs

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: PASSED, FAILED or SKIPPED, what each image showed, and why, where that needs saying.

    `computed` is how many results of programs of the two images were compared: without any, nothing was proved by
    running.
    """

    status: str
    original: str = ""
    slimmed: str = ""
    reason: str = ""
    computed: int = 0
    culprits: tuple[str, ...] = ()
    """Paths of the files that the check found to be what fails; they, or what they need, may be at fault."""
    blames_no_change: bool = False
    """Whether no change can be what made it fail: it fails in the original as well, or is not about what files do."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A check that was made: its name, what it found, and how many seconds that took."""

    name: str
    verdict: Verdict
    seconds: float


@dataclass(frozen=True, slots=True)
class Subject:
    """An image under examination: its ID in the engine, files and configuration, and what the engine says of it."""

    id: str
    rootfs: Rootfs
    config: Config
    inspected: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """The slimmed image as the engine has it: read back, and the directory of its layer where that can be looked at."""

    image: Image
    directory: Path | None


@dataclass(frozen=True, slots=True)
class Pair:
    """The two images, what was changed between them, and where to run what is in them."""

    original: Subject
    slimmed: Subject
    plan: Plan
    containers: Containers
    stored: Callable[[], Stored]
    http_path: str | None = None
    """The path that a service of the image answers, where the person named one."""

    def run(self, subject: Subject, command: Sequence[str], time_limit: int) -> Completed:
        """Run a command in either image for at most so many seconds: see `Containers.run`."""
        return self.containers.run(subject.id, command, time_limit)


class Check(Protocol):
    """One thing that must be the same in both images."""

    name: str
    summary: str

    def examine(self, pair: Pair) -> Verdict:
        """Look at both images and say whether it is."""


def examine(
    pair: Pair, progress: Progress, more: Sequence[Check] = (), only: str | None = None
) -> tuple[Examined, ...]:
    """Make every check, and MORE that the person asked for, and give what each found; ONLY names the one to make."""
    found = [check for check in (*discover(), *more) if only is None or check.name == only]
    examined: list[Examined] = []
    with progress.stage("verifying", len(found), "check") as stage:
        for check in found:
            started = time.monotonic()
            verdict = check.examine(pair)
            examined.append(Examined(check.name, verdict, time.monotonic() - started))
            stage.advance(1)
    return tuple(examined)


def discover() -> tuple[Check, ...]:
    """Give every check, by name."""
    found = (module for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in found)
    checks: list[Check] = [module.check for module in modules if hasattr(module, "check")]
    return tuple(sorted(checks, key=lambda check: check.name))
