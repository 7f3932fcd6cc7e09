"""One library slimmed, whatever its kind: a task that depends on its file alone, so that any process can do it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from slimmer.elf.archives.ar import MAGIC, is_archive
from slimmer.elf.archives.archive import StrippedAlreadyError, slim_archive
from slimmer.elf.machine import machine_of
from slimmer.elf.shared import slim_shared_object
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.content import Content
    from slimmer.elf.binutils import Strip


class Kind(Enum):
    """What a file is, as its name says; its bytes may say that it is nothing of the kind."""

    SHARED_OBJECT = "shared object"
    ARCHIVE = "static archive"


@dataclass(frozen=True, slots=True)
class Task:
    """A library to slim. Two tasks are the same when all of them is, of the content its identity."""

    content: Content
    kind: Kind
    architecture: str
    """Of the image, as OCI names it."""
    program: Strip | None
    """What writes the result: of an archive, nothing else can; of a shared object, slimmer's layout can."""
    objection: str | None
    """Why the file must not change, for all that is known but for its content."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a library: its new content and how that was made, or no content and the reason to keep it."""

    content: Content | None
    words: str


def slim(task: Task) -> Outcome | None:
    """Slim a library, proved; None where there is nothing to take, or it is no library at all.

    The objection is the reason only where there is something to take. Raises what reading the content raises, and
    DestinationError where strip has no room to work in.
    """
    if not task.content.size:
        return None
    try:
        made = _slim_archive(task) if task.kind is Kind.ARCHIVE else _slim_shared_object(task)
    except ElfError as error:
        return Outcome(None, str(error))
    return None if made is None else Outcome(*made)


def _slim_shared_object(task: Task) -> tuple[Content, str] | None:
    return slim_shared_object(task.content, task.architecture, task.program, lambda: task.objection)


def _slim_archive(task: Task) -> tuple[Content, str] | None:
    content, program = task.content, task.program
    if content.size <= len(MAGIC) or not is_archive(content):
        return None  # without members, or something that only looks like an archive by its name
    if program is None:
        raise ElfError("a static archive, and there is no strip program on this machine; binutils has one")
    try:
        slimmed = slim_archive(content, machine_of(task.architecture), program, lambda: task.objection)
    except StrippedAlreadyError:
        return None
    return slimmed, f"{program.version}: debug sections and unneeded symbols removed, every member proved unchanged"
