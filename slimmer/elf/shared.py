"""A shared object slimmed and proved: by slimmer's layout, or by this machine's strip with layout where that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf import layout
from slimmer.elf.contract import violations
from slimmer.elf.filler import filler
from slimmer.elf.object import is_elf, parse
from slimmer.elf.refusals import refusal
from slimmer.elf.removable import removable
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Callable

    from slimmer.content import Content
    from slimmer.elf.binutils import Strip
    from slimmer.elf.object import Object

MIN_GAIN = 4096
"""Bytes that a change must save: less is not worth another digest, and strip programs make some files larger."""

_FLAGS = ("--strip-unneeded",)
_TIME_LIMIT = 120.0


def slim_shared_object(
    content: Content, architecture: str, strip: Strip | None, objection: Callable[[], str | None] = lambda: None
) -> tuple[Content, str] | None:
    """Give the slimmed object and how it was made, or None where there is nothing to take.

    OBJECTION gives why the file must not change; it is asked when there is something to take, before the work.
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
    if not removable(elf) and not _spares_filler(elf):
        return None  # stripped already
    if (reason := refusal(elf, architecture) or objection()) is not None:
        raise ElfError(reason)
    by = "layout"
    if strip is not None:
        try:
            made = _written_by(strip, content)
        except ElfError as error:
            by = f"layout, because of what {strip.version} did ({error})"
        else:
            return made, f"{strip.version}: {_proved(elf, made)}"
    made = laid_out(elf)
    return made, f"{by}: {_proved(elf, made)}"


def _spares_filler(elf: Object) -> bool:
    """Say whether an object with nothing else to remove has enough filler, by what is gained and not by its length."""
    if not filler(elf):
        return False
    made = layout.without_dead_ranges(elf)
    return made is not None and elf.content.size - made.size >= MIN_GAIN


def laid_out(elf: Object) -> Content:
    """Give what layout makes of an object, proved and smaller; raise ElfError, with the reason, where it cannot be.

    Filler that the proof finds to be none, or named by something, stays, and the sections go.
    """
    broken: list[str] = []
    for keep_filler in (False, True):
        made = layout.without_dead_ranges(elf, keep_filler=keep_filler)
        if made is None:
            break
        require_gain(elf.content, made)
        found = violations(elf.content, made)
        if not found:
            return made
        broken = broken or found
    raise ElfError(f"the proof failed: {'; '.join(broken)}" if broken else "there is nothing to remove")


def _proved(before: Object, after: Content) -> str:
    """Say what was removed from an object and what of it was proved."""
    removed = ["symbol table and debug sections removed"] if removable(before) else []
    pairs = zip(before.segments, parse(after).segments, strict=True)
    if zeroed := sum(was.filesz - now.filesz for was, now in pairs):
        removed.append(f"{zeroed} bytes of patchelf's filler, which nothing names, made zeros in memory")
    others = "every other loaded byte and every address" if zeroed else "every loaded byte and address"
    return f"{', '.join(removed)}, {others} proved unchanged"


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
