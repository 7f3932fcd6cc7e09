from __future__ import annotations

import pytest

from slimmer.metadata.owners import foreign_owner

from handmade import Spec, file, flattened, hard_link, symlink

INSTALLED = b"""C:Q1abc=
P:musl
V:1.2.5-r0
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1abc=
R:libc.musl-x86_64.so.1

P:zlib
F:
F:usr
F:usr/lib
R:libz.so.1
R:libz.so.1.3
R:gone.so
"""
APK = [
    file("usr/lib/ld-musl-x86_64.so.1"),
    file("usr/lib/libz.so.1.3"),
    symlink("usr/lib/libz.so.1", "libz.so.1.3"),
    hard_link("usr/lib/other.so", "usr/lib/libz.so.1.3"),
    file("usr/lib/python3.12/site-packages/numpy/core.so"),
    symlink("lib", "usr/lib"),
]


@pytest.mark.parametrize("database", ["lib/apk/db/installed", "usr/lib/apk/db/installed"])
def test_apk_names_its_files(database: str) -> None:
    """Each file of the database has its package, through a merged /usr and under every name; no other file has one."""
    entries = [entry for entry in APK if entry["path"] != "lib" or database.startswith("usr")]
    if not database.startswith("usr"):
        entries += [file("lib/ld-musl-x86_64.so.1")]
    owner = foreign_owner(flattened([*entries, file(database, INSTALLED)]))

    loader = "lib/ld-musl-x86_64.so.1" if not database.startswith("usr") else "usr/lib/ld-musl-x86_64.so.1"
    assert owner(loader) == "owned by apk package musl, whose database records its hash"
    assert owner("usr/lib/libz.so.1.3") == owner("usr/lib/other.so")
    assert owner("usr/lib/libz.so.1.3") == "owned by apk package zlib, whose database records its hash"
    assert owner("usr/lib/python3.12/site-packages/numpy/core.so") is None
    assert owner("not/there") is None


RPM = [file("var/lib/rpm/rpmdb.sqlite", b"binary")]
SITE = "usr/lib64/python3.9/site-packages"


@pytest.mark.parametrize(
    ("path", "is_rpms"),
    [
        ("usr/lib64/libz.so.1", True),
        ("lib/x.so", True),
        ("usr/bin/x", True),
        ("usr/local/lib/x.so", False),
        ("usr/locale/x.so", True),
        ("opt/conda/lib/x.so", False),
        ("home/app/x.so", False),
        ("usr/local/lib/python3.9/site-packages/x.so", False),
    ],
)
@pytest.mark.parametrize("database", ["var/lib/rpm/Packages", "usr/lib/sysimage/rpm/rpmdb.sqlite"])
def test_rpm_may_own_what_lies_where_it_installs(database: str, path: str, *, is_rpms: bool) -> None:
    """Its database cannot be read without rpm, so the place decides."""
    reason = foreign_owner(flattened([file(database, b"binary"), file(path)]))(path)

    assert reason == ("may be owned by rpm, whose database records its hash" if is_rpms else None)


@pytest.mark.parametrize(
    ("more", "is_rpms"),
    [
        pytest.param([file(f"{SITE}/x-1.dist-info/RECORD", b"x.so,,\n"), file(f"{SITE}/x-1.dist-info/INSTALLER", b"pip\n")], False, id="pip"),
        pytest.param([file(f"{SITE}/x-1.dist-info/RECORD", b"x.so,,\n"), file(f"{SITE}/x-1.dist-info/INSTALLER", b"rpm\n")], True, id="rpm"),
        pytest.param([file(f"{SITE}/x-1.dist-info/METADATA")], True, id="no RECORD"),
    ],
)  # fmt: skip
def test_what_pip_installed_beside_rpm(more: list[Spec], *, is_rpms: bool) -> None:
    """rpm installs into site-packages as well; what a RECORD of another installer names is not its."""
    owner = foreign_owner(flattened([*RPM, file(f"{SITE}/x.so"), *more]))

    assert (owner(f"{SITE}/x.so") is not None) == is_rpms


def test_nobody_owns_anything_without_a_database() -> None:
    """Debian's rpm package leaves an empty directory."""
    assert foreign_owner(flattened([file("var/lib/rpm/.keep"), file("usr/lib/x.so")]))("usr/lib/x.so") is None
