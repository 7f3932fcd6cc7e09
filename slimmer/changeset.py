"""What one layer changes, as a tree of its own: what the engine's directory for the layer holds once it is extracted.

The engine extracts each layer by itself and leaves it to overlayfs to add them up (moby's archive.Unpack, with
whiteouts turned into overlayfs's). So a layer knows its own symlinks and no older ones, and a directory that it puts
something into and does not name is made anew. Where the engine refuses a layer that says plainly what it means, it is
read.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

from slimmer.errors import SourceError
from slimmer.inode import Inode, Kind
from slimmer.layer_tree import WHITEOUT, Directory, NoWayError, descend, is_whiteout, look_up, misplaced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slimmer.layer import Entry

_OPAQUE = ".wh..wh..opq"
_OVERLAY_OWN = "trusted.overlay."
_CAPABILITY = "security.capability"
_HIDDEN = Inode(Kind.CHARACTER, 0)


def extract(layer: str, entries: Iterable[Entry], older: Directory, linked: set[Inode]) -> Directory:
    """Give the tree of a layer, called LAYER in messages; OLDER is what the layers below add up to, and stays.

    LINKED gets every inode that the layer makes a hard link to.
    Raises SourceError for a hard link whose target neither the layer nor an older one has, for what lies below a file
    or a loop of symlinks, for a file whose bytes the engine keeps no more (see `misplaced`), and for overlayfs's own
    marks that would need the rest of an overlay to be understood.
    """
    extraction = _Extraction(layer, linked)
    early = [entry for entry in entries if not extraction.add(entry)]
    extraction.settle()
    for entry in early:
        extraction.link_early(entry, older)
    if extraction.has_replaced and (path := misplaced(extraction.root, extraction.of_older)) is not None:
        raise SourceError(
            f"layer {layer} holds {path!r}, and through a symlink another file in the place where the engine kept its "
            "bytes; the engine cannot give this layer back either, build the image again"
        )
    return extraction.root


class _Names:
    """The names of a hard-linked inode, and what it is once the last link has said its part."""

    __slots__ = ("inode", "places", "written")

    def __init__(self, inode: Inode, directory: Directory, name: str) -> None:
        self.written = inode
        """As it is in the tree; held, since another could get its id."""
        self.inode = inode
        self.places = [(directory, name)]


class _Extraction:
    def __init__(self, layer: str, linked: set[Inode]) -> None:
        self.root = Directory(None)
        self.has_replaced = False
        """Whether anything but a whiteout gave way to another entry."""
        self.of_older: set[Inode] = set()
        """What older layers have, and hard links of this one put into it."""
        self._layer = layer
        self._all_linked = linked
        self._linked: dict[int, _Names] = {}
        # Where the last path led that something was put below, and the last that a link's target was looked up in:
        # most entries lie beside the one before. A path that led somewhere leads there until something takes the place
        # of a directory or a symlink, so both are forgotten whenever anything is replaced. What is new, or a whiteout's
        # directory, was no part of a way before.
        self._entered: tuple[str, Directory] | None = None
        self._searched: tuple[str, Directory] | None = None

    def add(self, entry: Entry) -> bool:
        """Add an entry; say False for a hard link whose target is not there yet."""
        parent, _, name = entry.path.rpartition("/")
        name = intern(name)  # the files of an image have far fewer names than they are
        if name == _OPAQUE:
            self._enter(parent, entry).is_opaque = True
        elif name.startswith(WHITEOUT):  # whatever it is, a hard link too
            self._hide(parent, name.removeprefix(WHITEOUT), entry)
        elif entry.link_to is not None:
            return self._link(parent, name, entry, entry.link_to) if name else True
        elif name:
            self._put(self._enter(parent, entry), name, entry)
        elif entry.inode.kind is Kind.DIRECTORY:
            self.root.inode = entry.inode
        # Any other entry without a name has no place: the engine passes it over.
        return True

    def _hide(self, parent: str, name: str, entry: Entry) -> None:
        if name in {"", ".", ".."}:
            raise SourceError(f"layer {self._layer} holds {entry.path!r}, a whiteout that names nothing")
        # A whiteout hides what older layers hold and nothing of its own layer, wherever in the tar it stands. One
        # of aufs's own files, as `.wh..wh.aufs`, is the whiteout of a name that no file has.
        self._enter(parent, entry).children.setdefault(name, _HIDDEN)

    def _put(self, directory: Directory, name: str, entry: Entry) -> None:
        inode, is_opaque = self._unmarked(entry)
        existing = directory.children.get(name)
        if inode.kind is not Kind.DIRECTORY:
            self._place(directory, name, inode)
        elif isinstance(existing, Directory):
            existing.inode = inode
            existing.is_opaque |= is_opaque
        else:
            # Also in place of a whiteout, which is then gone: such a directory shows what older layers have in it. The
            # specification means another thing; engines with overlayfs do this.
            made = Directory(inode)
            made.is_opaque = is_opaque
            self._place(directory, name, made)

    def _place(self, directory: Directory, name: str, child: Directory | Inode) -> None:
        existing = directory.children.get(name)
        if existing is not None:
            self._entered = self._searched = None
            self.has_replaced |= not is_whiteout(existing)
        directory.children[name] = child

    def _unmarked(self, entry: Entry) -> tuple[Inode, bool]:
        """Give the entry's inode without overlayfs's own attributes, and whether they call it opaque."""
        inode = entry.inode
        if not inode.xattrs:
            return inode, False
        own = {key: value for key, value in inode.xattrs.items() if key.startswith(_OVERLAY_OWN)}
        if not own:
            return inode, False
        is_opaque = own.get(f"{_OVERLAY_OWN}opaque") == b"y"
        for mark in ("redirect", "metacopy", "whiteout"):
            if f"{_OVERLAY_OWN}{mark}" in own:
                raise SourceError(
                    f"layer {self._layer} marks {entry.path!r} with {_OVERLAY_OWN}{mark}, which means something in the "
                    "overlay only that it was copied from; build the image again"
                )
        others = {key: value for key, value in inode.xattrs.items() if key not in own}
        return inode.but(xattrs=others or None), is_opaque

    def _link(self, parent: str, own_name: str, entry: Entry, link_to: str) -> bool:
        directory, name, target = self._target(link_to)
        if isinstance(target, Directory):
            raise self._no_file(entry)
        if target is None:
            return False
        names = self._linked.get(id(target))
        if names is None:
            names = self._linked[id(target)] = _Names(target, directory, name)
        into = self._enter(parent, entry)
        self._place(into, own_name, target)
        names.places.append((into, own_name))
        names.inode = _relinked(names.inode, self._unmarked(entry)[0])
        return True

    def _target(self, path: str) -> tuple[Directory, str, Directory | Inode | None]:
        parent, _, name = path.rpartition("/")
        if self._searched is not None and self._searched[0] == parent and name:
            return self._searched[1], name, self._searched[1].children.get(name)
        found = look_up(self.root, path)
        self._searched = (parent, found[0]) if found[2] is not None else None
        return found

    def settle(self) -> None:
        """Put what the links' own entries said of their inodes under all names that still are theirs."""
        for names in self._linked.values():
            self._all_linked.add(names.inode)
            if names.inode is not names.written:
                for directory, name in names.places:
                    if directory.children.get(name) is names.written:
                        directory.children[name] = names.inode

    def link_early(self, entry: Entry, older: Directory) -> None:
        """Add a hard link that came before its target, or whose target an older layer has; the engine refuses both."""
        link_to = entry.link_to or ""
        target = look_up(self.root, link_to)[2]
        if target is None or is_whiteout(target):
            target = look_up(older, link_to)[2]
            if isinstance(target, Inode):
                self.of_older.add(target)
        if target is None or isinstance(target, Directory):
            raise self._no_file(entry)
        self._all_linked.add(target)
        parent, _, name = entry.path.rpartition("/")
        self._place(self._enter(parent, entry), name, target)

    def _no_file(self, entry: Entry) -> SourceError:
        return SourceError(
            f"layer {self._layer} holds {entry.path!r} as a hard link to {entry.link_to!r}, "
            "which is no file of the image; the image is damaged, build or pull it again"
        )

    def _enter(self, path: str, entry: Entry) -> Directory:
        """Give the directory at PATH, made with its parents where there is none."""
        if self._entered is not None and self._entered[0] == path:
            return self._entered[1]
        try:
            directory = descend(self.root, path, make=True)
        except NoWayError as error:
            raise SourceError(
                f"layer {self._layer} holds {entry.path!r}, {error}; the image is damaged, build or pull it again"
            ) from None
        self._entered = path, directory
        return directory


def _relinked(target: Inode, link: Inode) -> Inode:
    """Give TARGET with what the engine sets on it once more as it makes a link: owner, attributes, mode and time.

    The kernel drops capabilities when an owner is set, so those count that the link's own entry bears. A symlink has no
    mode, and the engine leaves its time.
    """
    xattrs = None
    if target.xattrs or link.xattrs:
        kept = {key: value for key, value in (target.xattrs or {}).items() if key != _CAPABILITY}
        xattrs = {**kept, **(link.xattrs or {})} or None
    is_symlink = target.kind is Kind.SYMLINK
    mode = target.mode if is_symlink else link.mode
    mtime = target.mtime if is_symlink else link.mtime
    new = (mode, link.uid, link.gid, mtime, xattrs)
    if new == (target.mode, target.uid, target.gid, target.mtime, target.xattrs):
        return target
    return target.but(mode=mode, uid=link.uid, gid=link.gid, mtime=mtime, xattrs=xattrs)
