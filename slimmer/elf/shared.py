"""A shared object slimmed and proved: by slimmer's layout, or by this machine's strip with layout where that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf import layout
from slimmer.elf.contract import violations
from slimmer.elf.object import is_elf, parse
from slimmer.elf.refusals import refusal
from slimmer.elf.removable import removable
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.content import Content
    from slimmer.elf.binutils import Strip

MIN_GAIN = 4096
"""Bytes that a change must save: less is not worth another digest, and strip programs make some files larger."""

_FLAGS = ("--strip-unneeded",)
_TIME_LIMIT = 120.0
_PROVED = "symbol table and debug sections removed, every loaded byte and address proved unchanged"


def slim_shared_object(content: Content, architecture: str, strip: Strip | None) -> tuple[Content, str] | None:
    """Give the slimmed object and how it was made, or None where there is nothing to take.

    STRIP writes it when there is one, else, and where what strip wrote fails the proof, slimmer's layout does. Raises
    ElfError, with the reason, for an object that is to be kept as it is.
    """
    if not is_elf(content):
        return None  # a linker script, or something that only looks like a library by its name
    try:
        elf = parse(content)
    except ElfError as error:
        raise ElfError(f"not a well-formed ELF object: {error}") from error
    if not elf.sections:
        raise ElfError("it has no section headers, so nothing says what could go")
    if not removable(elf):
        return None  # stripped already
    if (reason := refusal(elf, architecture)) is not None:
        raise ElfError(reason)
    how = f"layout: {_PROVED}"
    if strip is not None:
        try:
            return _written_by(strip, content), f"{strip.version}: {_PROVED}"
        except ElfError as error:
            how = f"layout, because of what {strip.version} did ({error}): {_PROVED}"
    made = layout.without_dead_ranges(elf) or content
    require_gain(content, made)
    if broken := violations(content, made):
        raise ElfError(f"the proof failed: {'; '.join(broken)}")
    return made, how


def _written_by(strip: Strip, content: Content) -> Content:
    """Give what a strip program makes of an object; raise ElfError unless it is proved and smaller."""
    slimmed = strip.run(content, _FLAGS, _TIME_LIMIT)
    if broken := violations(content, slimmed):
        raise ElfError(broken[0])
    require_gain(content, slimmed)
    return slimmed


def require_gain(before: Content, after: Content) -> None:
    """Raise ElfError, which keeps the file, unless AFTER saves at least MIN_GAIN bytes."""
    if before.size - after.size < MIN_GAIN:
        raise ElfError(f"less than {MIN_GAIN} bytes to save")
