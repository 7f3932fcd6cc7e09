from __future__ import annotations

from slimmer.inspection import divided, largest, usual_name

from handmade import directory, file, flattened, hard_link

SITE = "usr/lib/python3/site-packages"


def test_bytes_belong_to_whom_a_record_or_a_list_names() -> None:
    """RECORD for distributions, dpkg's lists for packages, versions beside, each inode once, the largest first."""
    root = flattened([
        directory("usr"), directory("usr/lib"), directory("usr/lib/python3"), directory(SITE),
        directory(f"{SITE}/big"), file(f"{SITE}/big/a.so", b"a" * 5000), hard_link(f"{SITE}/big/b.so", f"{SITE}/big/a.so"),
        directory(f"{SITE}/big-1.0.dist-info"),
        file(f"{SITE}/big-1.0.dist-info/RECORD", b"big/a.so,,\nbig/b.so,,\nbig/gone.so,,\n"),
        directory(f"{SITE}/small_one-2.dist-info"), file(f"{SITE}/small.py", b"s" * 10),
        file(f"{SITE}/small_one-2.dist-info/RECORD", b"small.py,,\nbig/a.so,,\n"),
        directory("bin"), file("bin/tool", b"t" * 700), directory("var"), directory("var/lib"), directory("var/lib/dpkg"),
        directory("var/lib/dpkg/info"), file("var/lib/dpkg/info/tools.list", b"/.\n/bin\n/bin/tool\n/bin/missing\n"),
        file("var/lib/dpkg/status", b"Package: tools\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3-1\n"),
    ])  # fmt: skip
    distributions, packages = divided(root)

    assert [(share.name, share.size, share.files) for share in distributions.shares] == [
        ("big 1.0", 5000, 1), ("small_one 2", 10, 1),
    ]  # fmt: skip
    assert [(share.name, share.size, share.files) for share in packages.shares] == [("tools 3-1", 700, 1)]


def test_an_image_without_packages_has_no_shares() -> None:
    """And nothing breaks."""
    assert [table.shares for table in divided(flattened([file("app", b"x")]))] == [(), ()]


def test_a_file_goes_by_the_name_a_person_knows() -> None:
    """What a cache and an installation share is named where it is installed; what only a cache has, there."""
    assert usual_name(["root/.cache/x", "usr/x"]) == "usr/x"
    assert usual_name([".cache/x", "root/.local/x"]) == ".cache/x"
    root = flattened([directory(".c"), file(".c/x", b"123"), hard_link("y", ".c/x"), file("z", b"1")])
    assert largest(root, 5) == (("y", 3), ("z", 1))
