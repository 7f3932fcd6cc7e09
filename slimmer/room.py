"""Whether what an engine is sent fits where it keeps images, where that can be told before it is sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer.errors import DestinationError
from slimmer.formats import overlay2

if TYPE_CHECKING:
    from slimmer.engine import Engine


def require_in_engine(engine: Engine, size: int, what: str) -> None:
    """Raise DestinationError when the SIZE bytes that WHAT takes are not free where the engine keeps images.

    That is asked of this machine's own file system, so only where the engine's directory is seen to be there, as
    reading images in place needs it: its graph driver is overlay2, this user reads everything, and an image that the
    engine lists lies in the directory. An engine on another machine, in a virtual machine or in a mount namespace, and
    one that keeps images otherwise (containerd, Podman), is not asked: it says that it is full when it is, and the run
    ends then.
    """
    root = overlay2.local_root(engine.info, engine.where)
    if not isinstance(root, Path) or not any(overlay2.has(root, image_id) for image_id in engine.image_ids()):
        return
    found = os.statvfs(root)
    free = found.f_bfree * found.f_frsize  # what is reserved for root is the engine's, too
    if free < size:
        raise DestinationError(
            f"{what} takes {size:,} bytes in {root}, where the engine keeps images and {free:,} are free; "
            "make room there (docker system df says what takes it)"
        )
