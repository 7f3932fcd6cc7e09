from __future__ import annotations

from slimmer.metadata.dpkg_files import Files

from handmade import directory, file, flattened, symlink

INFO = "var/lib/dpkg/info"


def test_a_list_leads_to_where_files_lie() -> None:
    """With a merged /usr a package's /lib is usr/lib; what is not there is left out, and names keep their architecture."""
    rootfs = flattened([
        directory("usr/lib"), symlink("lib", "usr/lib"), file("usr/lib/x.so.1"), symlink("usr/lib/x.so", "x.so.1"), file("usr/bin/x"),
        file(f"{INFO}/libx:amd64.list", b"/.\n/lib\n/lib/x.so.1\n/lib/x.so\n/lib/gone\n"), file(f"{INFO}/x.list", b"/.\n/usr\n/usr/bin/x\n"),
        file(f"{INFO}/x.md5sums", b""),
    ])  # fmt: skip

    files = Files(rootfs)

    assert files.listed == {"libx:amd64": ["lib", "usr/lib/x.so.1", "usr/lib/x.so"], "x": ["usr", "usr/bin/x"]}
    assert files.owners("usr/lib/x.so") == ["libx:amd64"]
    assert files.owners("usr/bin/x") == ["x"]


def test_directories_belong_to_nobody() -> None:
    """Every package lists the directories of its files; that makes none its owner."""
    rootfs = flattened(
        [
            directory("usr"),
            file("usr/x"),
            file(f"{INFO}/a.list", b"/usr\n/usr/x\n"),
            file(f"{INFO}/b.list", b"/usr\n/usr/x\n"),
        ]
    )

    files = Files(rootfs)

    assert files.owners("usr") == []
    assert files.owners("usr/x") == ["a", "b"]
    assert files.owners("usr/other") == []


def test_without_dpkg_nobody_owns_anything() -> None:
    """An image of another distribution has no lists."""
    assert Files(flattened([file("usr/x")])).owners("usr/x") == []
