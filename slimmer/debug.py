"""Saves what strip takes out of libraries, so that a debugger can name what it finds in a slimmed image's core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.debugfile import build_id, debug_file, save
from slimmer.elf.object import is_elf, parse
from slimmer.elf.removable import removable

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.plan import Plan
    from slimmer.progress import Progress


def save_debug_files(plan: Plan, directory: Path, progress: Progress) -> None:
    """Write a build-id debug file for each object that the plan strips; gdb finds them by DIRECTORY.

    What has no build-id cannot be found by a debugger and is told in a note. Raises DestinationError when DIRECTORY
    takes no file.
    """
    paths = dict.fromkeys(change.path for change in plan.changes if change.action == "replace")
    inodes = [plan.source.get(path) for path in paths]
    contents = [inode.content for inode in inodes if inode is not None and inode.content is not None]
    objects = [content for content in contents if is_elf(content)]
    without = 0
    with progress.stage("debug", sum(content.size for content in objects)) as stage:
        for content in objects:
            elf = parse(content)
            identity = build_id(elf)
            if not removable(elf):
                pass  # nothing for a debugger was taken; its debug file, if there is one, is another's and whole
            elif identity is None:
                without += 1
            else:
                save(debug_file(elf), directory, identity)
            stage.advance(content.size)
    if without:
        progress.note(f"{without} stripped libraries have no build-id, so no debug file of theirs was saved")
