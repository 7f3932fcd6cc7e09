"""What it takes to remove Debian packages without running dpkg: their files, and every place that knows of them.

As `dpkg --purge` leaves it: what only they own goes, a directory when it is empty then, their files in
`var/lib/dpkg/info`, their paragraphs, the triggers they wait for, the alternatives they offer. Maintainer scripts are
not run, so what only those could undo is an objection: a diversion, an alternative that has to be chosen anew.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from slimmer.content import Content
from slimmer.inode import Kind
from slimmer.metadata.dpkg_files import INFO
from slimmer.metadata.dpkg_status import EXTENDED_STATES, STATUS, without
from slimmer.plan import Remove, Replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from slimmer.inode import Inode
    from slimmer.metadata.dpkg_files import Files
    from slimmer.metadata.dpkg_status import Package
    from slimmer.rootfs import Rootfs

_DIVERSIONS = "var/lib/dpkg/diversions"
_TRIGGERS = "var/lib/dpkg/triggers"
_ALTERNATIVES = "var/lib/dpkg/alternatives"
_CHOSEN = "etc/alternatives"
_STATE = {"Lock", "Unincorp"}


class Removal:
    """The removal of PACKAGES from a root: why it cannot be, or what it takes."""

    def __init__(self, rootfs: Rootfs, packages: Collection[Package], files: Files) -> None:
        self._rootfs = rootfs
        self._packages = packages
        self._names = {package.list_name: package for package in packages}
        self._files = files
        self._resolve = functools.cache(rootfs.resolve)
        self._gone = self._owned()
        self._gone |= set(self._alternatives())
        self._gone |= self._emptied()

    def objections(self) -> Iterator[tuple[Package, str]]:
        """Give each package that must stay for something that only its maintainer scripts could undo, and what."""
        lines = _text(self._rootfs, _DIVERSIONS).split("\n")
        for diverted, diverter in zip(lines[0::3], lines[2::3], strict=False):
            owners = self._files.by_path.get(self._place(diverted) or "", [])
            for name, package in self._names.items():
                if package.name == diverter.partition(":")[0]:
                    yield package, f"diverts {diverted}"
                elif name in owners:
                    yield package, f"its {diverted} is diverted"
        for name in self._rootfs.children(_ALTERNATIVES):
            group = _Alternatives(_text(self._rootfs, f"{_ALTERNATIVES}/{name}"))
            gone = [path for path, _ in group.choices if self._goes(path)]
            chosen = self._rootfs.get(f"{_CHOSEN}/{name}")
            if gone and len(gone) < len(group.choices) and chosen is not None and self._goes(chosen.target):
                for owner in self._files.by_path.get(self._place(chosen.target) or "", []):
                    if owner in self._names:
                        yield self._names[owner], f"is what the alternative {name} leads to, and there are others"

    def decisions(self) -> Iterator[Remove | Replace]:
        """Give what goes and what is rewritten."""
        gone = self._gone | set(self._information())
        yield from (Remove(path, self._how(path)) for path in sorted(gone) if path.rpartition("/")[0] not in gone)
        yield from self._rewritten()

    def _how(self, path: str) -> str:
        owners = [owner for owner in self._files.by_path.get(path, []) if owner in self._names]
        return f"of Debian package {owners[0]}" if owners else "what dpkg and its programs note of the packages"

    def _alone(self) -> Iterator[tuple[str, Inode]]:
        """Give what nobody else owns."""
        for path in sorted({path for name in self._names for path in self._files.listed.get(name, [])}):
            inode = self._rootfs.get(path)
            if inode is not None and all(owner in self._names for owner in self._files.by_path[path]):
                yield path, inode

    def _owned(self) -> set[str]:
        """Give the files that nobody else owns, and what Python compiled of them."""
        # A merged /usr has links at the top, which packages list as directories.
        gone = {path for path, inode in self._alone() if inode.kind is not Kind.DIRECTORY and "/" in path}
        for path in [path for path in gone if path.endswith(".py")]:
            directory, _, name = path.rpartition("/")
            compiled = re.compile(re.escape(name.removesuffix(".py")) + r"\.[\w-]+(\.opt-\d)?\.pyc")
            cache = f"{directory}/__pycache__"
            gone |= {f"{cache}/{found}" for found in self._rootfs.children(cache) if compiled.fullmatch(found)}
        return gone

    def _emptied(self) -> set[str]:
        """Give the directories that nobody else owns and that are empty without what goes, and links to those."""
        alone = dict(self._alone())
        caches = {path.rpartition("/")[0] for path in self._gone if path.endswith(".pyc")}
        directories = caches | {path for path, inode in alone.items() if inode.kind is Kind.DIRECTORY}
        gone = set(self._gone)
        for path in sorted(directories, key=lambda path: (-path.count("/"), path)):
            if all(f"{path}/{name}" in gone for name in self._rootfs.children(path)):
                gone.add(path)
        for path in (path for path in alone if "/" not in path and path not in directories):
            target = self._resolve(path)
            if target and all(f"{target}/{name}" in gone for name in self._rootfs.children(target)):
                gone.add(path)
        return gone

    def _information(self) -> Iterator[str]:
        for name in self._rootfs.children(INFO):
            if name.rpartition(".")[0] in self._names:  # python3.list, but not python3.11.list
                yield f"{INFO}/{name}"

    def _alternatives(self) -> Iterator[str]:
        """Give the parts of each group of alternatives of which none is left."""
        for name in self._rootfs.children(_ALTERNATIVES):
            group = _Alternatives(_text(self._rootfs, f"{_ALTERNATIVES}/{name}"))
            if not group.choices or not all(self._goes(path) for path, _ in group.choices):
                continue
            yield f"{_ALTERNATIVES}/{name}"
            for generic, link in ((name, group.link), *group.slaves):
                chosen, place = f"{_CHOSEN}/{generic}", self._place(link)
                if chosen in self._rootfs:
                    yield chosen
                inode = self._rootfs.get(place) if place is not None else None
                if place is not None and inode is not None and inode.target == f"/{chosen}":
                    yield place

    def _rewritten(self) -> Iterator[Replace]:
        count = f"{len(self._packages)} package{'s' if len(self._packages) > 1 else ''} taken out"
        for path in (STATUS, EXTENDED_STATES):
            content = without(self._rootfs, path, self._packages)
            if content is not None:
                yield Replace(path, content, count)
        for name in self._rootfs.children(_TRIGGERS):
            path = f"{_TRIGGERS}/{name}"
            before = _text(self._rootfs, path)
            after = "".join(line for line in before.splitlines(keepends=True) if not self._waits(line))
            if name not in _STATE and after != before:
                yield Replace(path, _content(after), count)
        for name in self._rootfs.children(_ALTERNATIVES):
            path = f"{_ALTERNATIVES}/{name}"
            before = _text(self._rootfs, path)
            group = _Alternatives(before)
            gone = [block for choice, block in group.choices if self._goes(choice)]
            if gone and len(gone) < len(group.choices):
                for block in gone:
                    before = before.replace(block, "", 1)
                yield Replace(path, _content(before), count)

    def _waits(self, line: str) -> bool:
        """Say whether a line of the triggers' database names one of the packages: `/path gcc/noawait`, `libc-bin`."""
        words = line.split()
        package = words[-1].partition("/")[0] if words else ""
        return any(package in {name, found.name} for name, found in self._names.items())

    def _goes(self, path: str) -> bool:
        return self._place(path) in self._gone

    def _place(self, path: str) -> str | None:
        directory, _, name = path.rpartition("/")
        parent = self._resolve(directory)
        return f"{parent}/{name}".lstrip("/") if parent is not None else None


class _Alternatives:
    """A group of alternatives as update-alternatives notes it: its link, slaves, and choices with their lines."""

    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        self.link = lines[1] if len(lines) > 1 else ""
        position = 2
        self.slaves: list[tuple[str, str]] = []
        while position + 1 < len(lines) and lines[position]:
            self.slaves.append((lines[position], lines[position + 1]))
            position += 2
        position += 1
        self.choices: list[tuple[str, str]] = []
        size = 2 + len(self.slaves)
        while position + size <= len(lines) and lines[position]:
            self.choices.append((lines[position], "".join(f"{line}\n" for line in lines[position : position + size])))
            position += size


def _text(rootfs: Rootfs, path: str) -> str:
    inode = rootfs.get(path)
    if inode is None or inode.content is None:
        return ""
    return inode.content.whole(path).decode("utf-8", "surrogateescape")


def _content(text: str) -> Content:
    return Content.of(text.encode("utf-8", "surrogateescape"))
