"""Whose a file is, where the owner records hashes in a database that slimmer does not write: apk's and rpm's.

A changed file would make `apk audit` and `rpm --verify` complain. apk's database is a text that names each file; rpm's
is binary, and reading it takes rpm, so what may be rpm's is told by where it lies.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.inode import Kind
from slimmer.metadata.record_rows import files_of, locator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimmer.inode import Inode
    from slimmer.rootfs import Rootfs

_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")  # the second since apk-tools 3
_RPM = tuple(
    f"{directory}/{name}"
    for directory in ("var/lib/rpm", "usr/lib/sysimage/rpm")
    for name in ("Packages", "Packages.db", "rpmdb.sqlite")  # Berkeley DB, ndb, SQLite; Debian's own rpm has none
)
_RPM_PLACES = ("usr/", "lib/", "lib64/", "bin/", "sbin/")
_PACKAGES = re.compile(r"(^|/)(site|dist)-packages/")


def foreign_owner(rootfs: Rootfs) -> Callable[[str], str | None]:
    """Give a function that says why apk or rpm would notice a change of the file at a path; None when neither would."""
    apk: dict[Inode, str] = dict(_apk(rootfs))
    has_rpm = any(path in rootfs for path in _RPM)
    installed = set(_installed_by_pip(rootfs)) if has_rpm else set()

    def owner(path: str) -> str | None:
        inode = rootfs.get(path)
        if inode is None:
            return None
        package = apk.get(inode)
        if package is not None:
            return f"owned by apk package {package}, whose database records its hash"
        may_be_rpm = has_rpm and path.startswith(_RPM_PLACES) and not path.startswith("usr/local/")
        if may_be_rpm and inode not in installed:
            return "may be owned by rpm, whose database records its hash"
        return None

    return owner


def _apk(rootfs: Rootfs) -> Iterator[tuple[Inode, str]]:
    """Give every file that apk's database names, with its package: lines P: (package), F: (directory) and R: (file)."""
    locate = locator(rootfs)
    for database in _APK:
        inode = rootfs.get(database)
        content = inode.content if inode is not None else None
        if content is None:
            continue
        package = directory = ""
        for line in content.whole(database).decode("utf-8", "surrogateescape").split("\n"):
            key, _, value = line.partition(":")
            if key == "P":
                package = value
            elif key == "F":
                directory = value
            elif key == "R":
                path = locate(f"{directory}/{value}")
                owned = rootfs.get(path) if path is not None else None
                if owned is not None and owned.kind is Kind.FILE:
                    yield owned, package


def _installed_by_pip(rootfs: Rootfs) -> Iterator[Inode]:
    """Give the files of distributions that rpm did not bring: its own have no RECORD, or say rpm in INSTALLER."""
    locate = locator(rootfs)
    for path, _ in rootfs.called("RECORD"):
        if path.endswith(".dist-info/RECORD") and _PACKAGES.search(path):
            installer = rootfs.get(path.removesuffix("RECORD") + "INSTALLER")
            if installer is None or installer.content is None or installer.content.read_at(0, 16).strip() != b"rpm":
                yield from files_of(rootfs, path, locate)
