from __future__ import annotations

import pytest

from slimmer.content import Content
from slimmer.metadata.dpkg_status import EXTENDED_STATES, STATUS, installed, installed_for_others, without

from handmade import file, flattened

DPKG = b"Package: dpkg\nEssential: yes\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
TEXT = b"Package: text\nStatus: install ok installed\nArchitecture: all\nVersion: 2\nDescription: \xc3\xa4 text\n of two\n Package: lines\n"
HALF = b"Package: half\nStatus: deinstall ok config-files\nArchitecture: amd64\n"
I386 = b"Package: text\nStatus: install ok installed\nArchitecture: i386\nVersion: 2\nMulti-Arch: same\n"


def test_reads_what_is_installed() -> None:
    """Only what is installed counts, a field may go on on the next line, and `all` counts as dpkg's own architecture."""
    packages = installed(flattened([file(STATUS, b"\n".join([DPKG, TEXT, HALF, I386]))]))

    assert [(package.name, package.list_name, package.own_architecture) for package in packages] == [
        ("dpkg", "dpkg", "amd64"), ("text", "text", "amd64"), ("text", "text:i386", "i386"),
    ]  # fmt: skip
    assert [package.is_protected for package in packages] == [True, False, False]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n"], ids=["none", "one", "two"])
def test_takes_paragraphs_out_and_nothing_else(ending: bytes) -> None:
    """All other bytes stay as they were; a package of the same name for another architecture stays, too."""
    rootfs = flattened([file(STATUS, b"\n".join([DPKG, TEXT, HALF, I386]).rstrip() + ending)])
    packages = installed(rootfs)

    left = without(rootfs, STATUS, packages[1:2])

    assert isinstance(left, Content)
    assert left.read_at(0, left.size) == b"\n".join([DPKG, HALF, I386]).rstrip() + ending
    assert without(rootfs, STATUS, []) is None


def test_knows_who_was_installed_for_others() -> None:
    """apt notes packages for all architectures under dpkg's own."""
    states = b"Package: text\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: dpkg\nArchitecture: amd64\nAuto-Installed: 0\n\n"
    rootfs = flattened([file(STATUS, b"\n".join([DPKG, TEXT, I386])), file(EXTENDED_STATES, states)])
    packages = installed(rootfs)

    assert installed_for_others(rootfs, packages) == {packages[1]}
    assert installed_for_others(flattened([file(STATUS, DPKG)]), packages) == set()
