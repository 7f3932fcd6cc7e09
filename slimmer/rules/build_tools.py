"""Takes out what Debian packages software is built with: compilers, make, cmake, headers, and what only these need.

They are taken as `apt-get purge --auto-remove` would: whole packages, so that dpkg's database stays true, and of
dependencies only what apt installed for others and no package that stays depends on, recommends or suggests. Essential
and important packages stay, Python's interpreters too: what pip installs for them dpkg does not know.

Off by default: a program may compile when it runs. Triton and torch.compile do (gcc), pip does for what has no wheel,
Cython's pyximport, cffi and R do. Headers' packages also have the links without version (`libx.so`) that a program may
open by name. What would prove that a package is needed is looked for and keeps it whole: a command of the image, a
script or a symlink that dpkg does not own, a library that another object links to.

Only dpkg's packages go. What pip, conda or `make install` brought (the cmake and ninja of PyPI) stays.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from slimmer.commands import commands, path_directories
from slimmer.dependents import Dependents
from slimmer.inode import Kind
from slimmer.metadata.dpkg_files import INFO, Files
from slimmer.metadata.dpkg_removal import Removal
from slimmer.metadata.dpkg_status import STATUS, installed, installed_for_others
from slimmer.plan import Keep, Turn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from slimmer.metadata.dpkg_relations import Clause
    from slimmer.metadata.dpkg_status import Package
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

    _ByName = dict[str, list[Package]]

_TOOL = re.compile(
    r"(gcc|g\+\+|cpp|gfortran|gobjc|gobjc\+\+|gdc|gnat|gccgo|clang|clang-tools|lld|llvm|binutils|make|cmake|cmake-data|ninja-build|meson|"
    r"autoconf|automake|autotools-dev|libtool|libtool-bin|m4|bison|flex|pkg-config|pkgconf|pkgconf-bin|build-essential|dpkg-dev|"
    r"libc-dev-bin|manpages-dev|nasm|yasm|swig|ccache|debhelper)(-\d[\d.]*)?(-(multilib|for-host|tools|dev|runtime|common))?"
    r"(-[a-z0-9]+-linux-gnu\w*)?|"
    r"(linux-libc|lib[\w.+-]+|python3[\d.]*|zlib1g|[\w.+-]+)-dev(-[\w.-]+)?|linux-headers-.*"
)
_INTERPRETER = re.compile(r"(lib)?python3?(\.\d+)?(-minimal|-stdlib)?|pypy3.*")
_MAX_LINKS = 40


class BuildTools:
    """The rule."""

    name = "build_tools"
    summary = "Debian's compilers, make, cmake and headers; torch.compile, Triton and builds by pip then fail"
    on_by_default = False
    turn = Turn.PACKAGES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give what the removal of all tools takes that nothing needs, and a Keep for each that something does."""
        rootfs = scene.rootfs
        packages = installed(rootfs)
        tools = {package for package in packages if _TOOL.fullmatch(package.name) and not package.is_protected}
        if not tools:
            return
        files = Files(rootfs)
        automatic = installed_for_others(rootfs, packages)
        gone = tools | _brought(tools, automatic)
        kept = dict(_needed(scene, gone, files))
        gone -= set(kept)
        while True:
            kept |= _settled(packages, gone, tools)
            removal = Removal(rootfs, gone, files)
            objections = dict(removal.objections())
            if not objections:
                break
            kept |= objections
            gone -= set(objections)
        yield from (Keep(_list_path(package), kept[package]) for package in sorted(tools - gone, key=_list_path))
        if gone:
            yield from removal.decisions()


def _list_path(package: Package) -> str:
    return f"{INFO}/{package.list_name}.list"


def _by_name(packages: Iterable[Package]) -> _ByName:
    """Give packages by their names and those that they provide."""
    found: _ByName = defaultdict(list)
    for package in packages:
        for name in package.names:
            found[name].append(package)
    return found


def _satisfying(clause: Clause, by: Package, named: _ByName) -> set[Package]:
    """Give the packages of NAMED that are what a clause of BY wants."""
    return {package for wanted in clause for package in named.get(wanted.name, ()) if package.satisfies(wanted, by)}


def _brought(tools: Iterable[Package], automatic: Iterable[Package]) -> set[Package]:
    """Give the packages that apt installed for others and that TOOLS lead to, through whatever relation."""
    named = _by_name(
        package for package in automatic if not package.is_protected and not _INTERPRETER.fullmatch(package.name)
    )
    found: set[Package] = set()
    pending = list(tools)
    while pending:
        by = pending.pop()
        for clause in by.depends + by.recommends:
            new = _satisfying(clause, by, named) - found
            found |= new
            pending += new
    return found


def _settled(packages: Collection[Package], gone: set[Package], tools: set[Package]) -> dict[Package, str]:
    """Take out of GONE what a package that stays needs, until none does; give each with its reason.

    What is only recommended or suggested keeps a dependency of tools, as apt would, but no tool.
    """
    named = _by_name(packages)
    kept: dict[Package, str] = {}
    pending = [package for package in packages if package not in gone]
    while pending:
        by = pending.pop()
        for clause in by.depends + by.recommends:
            found = _satisfying(clause, by, named)
            if found <= gone:
                back = found if clause in by.depends else found - tools
                kept |= {package: f"Debian package {by.name} needs {package.name}" for package in back}
                gone -= back
                # In order: of two alternatives the second stays where the first does not yet.
                pending += sorted(back, key=_list_path)
    return kept


def _needed(scene: Scene, candidates: Iterable[Package], files: Files) -> Iterator[tuple[Package, str]]:
    """Give each package that something beside dpkg needs, or that must stay as it is, with the reason."""
    by_list = {package.list_name: package for package in candidates}
    for name, package in by_list.items():
        if name not in files.listed:
            yield package, f"dpkg has no list of the files of {name}"
        for path in (*files.listed.get(name, []), _list_path(package), STATUS):
            reason = scene.veto(path)
            if reason is not None:
                yield package, f"{reason} (/{path})"
    for path, sentence in _used(scene, files):
        for owner in files.by_path.get(path, []):
            if owner in by_list:
                yield by_list[owner], sentence


def _used(scene: Scene, files: Files) -> Iterator[tuple[str, str]]:
    """Give each path that something beside dpkg uses, every symlink on the way to it included, and what uses it."""
    rootfs, config = scene.rootfs, scene.config
    for key, command in commands(config):
        for word in " ".join(command).replace(";", " ").split():
            directories = [""] if "/" in word else path_directories(config)
            for directory in directories:
                yield from ((path, f"the image's {key} runs {word}") for path in _steps(rootfs, f"{directory}/{word}"))
    dependents = Dependents(rootfs, config, scene.heads)
    for script, word in dependents.interpreters():
        if not files.owners(script):
            directories = [""] if word.startswith("/") else path_directories(config)
            for directory in directories:
                yield from ((path, f"/{script} is run by it") for path in _steps(rootfs, f"{directory}/{word}"))
    for link, _ in dependents.symlinks():
        inode = rootfs.get(link)
        is_alternative = inode is None or inode.target.startswith("/etc/alternatives/")
        if not (files.owners(link) or is_alternative or link.startswith("etc/alternatives/")):
            yield from ((path, f"/{link} is a symlink to it") for path in list(_steps(rootfs, f"/{link}"))[1:])


def _steps(rootfs: Rootfs, path: str) -> Iterator[str]:
    """Give where a path lies, and if that is a symlink every place on the way to where it leads."""
    for _ in range(_MAX_LINKS):
        directory, _, name = path.rpartition("/")
        parent = rootfs.resolve(directory)
        place = f"{parent}/{name}".lstrip("/") if parent is not None else ""
        inode = rootfs.get(place) if place else None
        if inode is None:
            return
        yield place
        if inode.kind is not Kind.SYMLINK:
            return
        path = inode.target if inode.target.startswith("/") else f"/{parent}/{inode.target}"


rule = BuildTools()
