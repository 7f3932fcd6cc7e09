"""What each rule would save on an image, each asked by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer import rules, transports
from slimmer.elf.work.workshop import Workshop
from slimmer.plan import Scene
from slimmer.propose import foresee, linked, propose
from slimmer.reading import opened
from slimmer.session import Session
from slimmer.settings import Settings

if TYPE_CHECKING:
    from slimmer.plan import Rule
    from slimmer.platforms import Platform
    from slimmer.progress import Progress
    from slimmer.reading import Opened


@dataclass(frozen=True, slots=True)
class Potential:
    """What a rule would save: bytes of content, each inode counted once, and files."""

    rule: Rule
    saved: int
    files: int
    kept: int
    """Paths that the rule could take and would not."""


def survey(reference: str, platform: Platform | None, progress: Progress) -> tuple[Potential, ...]:
    """Give what every rule would save on an image if it were the only one, those that are off by default too.

    What two rules would take, both are credited with. Raises SourceError when the image cannot be read.
    """
    with Session(progress, platform) as session:
        return potentials(opened(transports.source(reference, session), session), progress)


def potentials(image: Opened, progress: Progress) -> tuple[Potential, ...]:
    """Give what every rule would save on an image that is open if it were the only one."""
    found = []
    every = rules.discover()
    with Workshop.opened() as workshop:
        scene = Scene(image.rootfs, image.config, Settings(), progress, workshop)
        held = ((path, inode.content) for path, inode in image.rootfs.files() if inode.content is not None)
        foresee(every, held, scene)
        linkage = linked(scene)
        for rule in every:
            planned, _ = propose(scene, [rule], (), linkage)
            files = sum(change.files for change in planned.changes)
            found.append(Potential(rule, image.flattened_size - planned.result.size(), files, len(planned.kept)))
    return tuple(found)
