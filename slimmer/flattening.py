"""Adding layers up, oldest first, to the root file system that a container sees, without extracting anything.

Each layer is extracted by itself, so that a hard link is bound to its file within the layer that makes it. Both matter:
a later layer may replace or delete the path that a link was made to, and the link must keep the old content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.changeset import extract
from slimmer.errors import SourceError
from slimmer.inode import Inode
from slimmer.layer_tree import WHITEOUT, Directory, is_whiteout
from slimmer.rootfs import UNNAMED, Rootfs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slimmer.layer import Entry

_MAX_ENTRIES, _MAX_NAMES = 5_000_000, 512 << 20
"""A file takes some hundred bytes here; a CUDA image with its tools has 42,246."""
_PATH_MAX = 4095  # path_resolution(7)


def flatten(layers: Iterable[tuple[str, Iterable[Entry]]]) -> Rootfs:
    """Give the root that LAYERS add up to: pairs of a name for messages and the entries, oldest layer first.

    As a container of the engine shows it. Raises SourceError for a layer that cannot be: see `changeset.extract`; and
    for more names than slimmer holds.
    """
    root = Directory(None)
    budget = Budget()
    linked: set[Inode] = set()
    for name, entries in layers:
        newer = extract(name, budget.spent(name, entries), root, linked)
        if newer.inode is not None:
            root.inode = newer.inode
        _lay_over(root, newer)
    return Rootfs(root.inode, _directories(root), linked)


def _lay_over(older: Directory, newer: Directory) -> None:
    """Change OLDER into what overlayfs shows of NEWER over it; NEWER is emptied, so that no name is held twice."""
    # That a layer's root is opaque, overlayfs does not look at: both are mounted as the root, whatever it bears.
    pending = [(older, newer)]
    while pending:
        below, above = pending.pop()
        for name, child in above.children.items():
            if is_whiteout(child):
                below.children.pop(name, None)
            elif isinstance(child, Inode):
                below.children[name] = child
            elif not name.startswith(WHITEOUT):  # or it is aufs's own, kept for its hard links only
                under = below.children.get(name)
                if not isinstance(under, Directory):
                    under = below.children[name] = Directory(None)
                # The newest layer's, also where it names none: the one that the engine made hides the older.
                under.inode = child.inode
                if child.is_opaque:
                    under.children = {}
                pending.append((under, child))
        above.children.clear()


class Budget:
    """How much an image may have that is held in memory: entries, and bytes of their names, links and attributes."""

    def __init__(self, entries: int = _MAX_ENTRIES, length: int = _MAX_NAMES) -> None:
        self._limits = entries, length
        self._entries, self._length = entries, length

    def spent(self, layer: str, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Give the entries of a layer; raise SourceError where those of all layers are more than is left."""
        for entry in entries:
            self._entries -= 1
            self._length -= len(entry.path) + len(entry.link_to or entry.inode.target)
            if entry.inode.xattrs:
                self._length -= sum(len(key) + len(value) for key, value in entry.inode.xattrs.items())
            if self._entries < 0 or self._length < 0:
                raise SourceError(
                    f"the image has more than {self._limits[0]:,} entries, or {self._limits[1]:,} bytes of names and "
                    f"attributes, in its layers up to {layer}: more than slimmer holds in memory"
                )
            yield entry


def _directories(root: Directory) -> dict[str, dict[str, Inode]]:
    """Give the names in each directory; ROOT is of no use afterwards, so that an image's names are not held twice."""
    found: dict[str, dict[str, Inode]] = {}
    # A list of its own: directories may be deeper than Python's calls.
    pending = [("", root)]
    while pending:
        place, directory = pending.pop()
        children, directory.children = directory.children, {}
        if children:
            longest = place + max(children, key=len)
            if len(longest) > _PATH_MAX:
                # Each entry's own path is short enough; through symlinks they can be piled up without end.
                raise SourceError(
                    f"the image holds {longest[:40]!r}…, a path of {len(longest):,} characters, where Linux takes "
                    f"{_PATH_MAX:,} bytes; an image like this is not slimmed"
                )
            names = found[place] = {}
            for name in sorted(children):
                child = children[name]
                names[name] = child if isinstance(child, Inode) else child.inode or UNNAMED
                if isinstance(child, Directory):
                    pending.append((f"{place}{name}/", child))
    return found
