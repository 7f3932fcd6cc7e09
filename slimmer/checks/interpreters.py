"""The image's own Python interpreters, found by the packages that lie beside them, not by its ENTRYPOINT or PATH."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.inode import Kind

if TYPE_CHECKING:
    from slimmer.rootfs import Rootfs

_PACKAGES = re.compile(r"(?P<prefix>.*?)/?(?P<lib>lib|lib64)/(?P<python>python\d+(\.\d+)?t?)/(site|dist)-packages")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter, and the directory in which it finds a package."""

    path: str
    packages: str


def with_package(rootfs: Rootfs, package: str) -> tuple[list[Interpreter], list[str]]:
    """Give an interpreter for each place where PACKAGE is installed, and the places for which the image has none.

    A place is a directory that interpreters look into by themselves, or one that holds the package's metadata as well
    (`pip install --target`); a copy inside another package or in a cache is none.
    """
    found: list[Interpreter] = []
    orphans: list[str] = []
    for path, inode in rootfs.called("__init__.py"):
        directory = path.removesuffix(f"/{package}/__init__.py")
        if directory == path or inode.kind not in {Kind.FILE, Kind.SYMLINK}:
            continue
        match = _PACKAGES.fullmatch(directory)
        if match is None and not _has_metadata(rootfs, directory, package):
            continue
        # A second directory of the same interpreter (lib and lib64, user site) is tried with it all the same.
        candidates = _candidates(match) if match is not None else _anywhere(rootfs)
        candidate = next((name for name in candidates if _is_program(rootfs, name)), None)
        if candidate is None:
            orphans.append("/" + directory)
        else:
            found.append(Interpreter("/" + candidate, "/" + directory))
    return found, orphans


def _has_metadata(rootfs: Rootfs, directory: str, package: str) -> bool:
    if "/." in f"/{directory}":
        return False
    return any(re.fullmatch(rf"{package}-[^/]*\.(dist|egg)-info", name) for name in rootfs.children(directory))


def _anywhere(rootfs: Rootfs) -> list[str]:
    """Give the interpreters of the system, the newest first."""
    return [
        f"{directory}/{name}"
        for directory in ("usr/local/bin", "usr/bin", "opt/venv/bin", "opt/conda/bin")
        for name in sorted(rootfs.children(directory), key=lambda name: (len(name), name), reverse=True)
        if re.fullmatch(r"python3(\.\d+)?", name)
    ]


def _candidates(match: re.Match[str]) -> list[str]:
    """Give where the interpreter of a package directory may be: first its own prefix, then the distribution's.

    Debian's interpreter lies in /usr/bin and looks into /usr/local/lib/…/dist-packages too.
    """
    prefix, python = match["prefix"], match["python"]
    names = [python, "python3", "python"]
    own = [f"{prefix}/bin/{name}".lstrip("/") for name in names]
    return [*own, *(f"{system}/bin/{python}" for system in ("usr", "usr/local"))]


def _is_program(rootfs: Rootfs, path: str) -> bool:
    resolved = rootfs.resolve(path)
    inode = rootfs.get(resolved) if resolved is not None else None
    return inode is not None and inode.kind is Kind.FILE and bool(inode.mode & 0o111)


def for_file(rootfs: Rootfs, path: str) -> Interpreter | None:
    """Give the interpreter that would load the file at PATH, with the directory it would find it in; None without any.

    That is the one whose packages the file lies among, else any of the system: then `packages` is empty.
    """
    match = _PACKAGES.match(path)
    candidates = _candidates(match) if match is not None else _anywhere(rootfs)
    found = next((name for name in candidates if _is_program(rootfs, name)), None)
    if found is None:
        return None
    return Interpreter("/" + found, "/" + match[0] if match is not None else "")


def system_interpreter(rootfs: Rootfs) -> str | None:
    """Give the newest interpreter of the system, wherever its packages lie; None without any."""
    return next((f"/{name}" for name in _anywhere(rootfs) if _is_program(rootfs, name)), None)
