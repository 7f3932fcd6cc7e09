from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from slimmer.content import Content
from slimmer.metadata.dpkg_md5sums import amend
from slimmer.pieces import Piece
from slimmer.plan import Replace

from handmade import Spec, file, flattened, symlink

if TYPE_CHECKING:
    from pathlib import Path

INFO = "var/lib/dpkg/info/libx:amd64.md5sums"
OLD, NEW = b"old" * 100, b"newer" * 10


def line(path: str, data: bytes = OLD) -> bytes:
    """Give a file's line."""
    return f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {path}\n".encode()


def amended(entries: list[Spec], *changed: str) -> dict[str, bytes]:
    """Give the new content of each replaced file when CHANGED have new content."""
    decisions = list(amend(flattened(entries), dict.fromkeys(changed, Content.of(NEW))))
    return {item.path: item.content.read_at(0, item.content.size) for item in decisions if isinstance(item, Replace)}


@pytest.mark.parametrize(
    ("path", "listed", "entries"),
    [
        pytest.param("usr/lib/x.so", "usr/lib/x.so", [], id="as listed"),
        pytest.param("usr/lib/x.so", "lib/x.so", [symlink("lib", "usr/lib")], id="merged /usr"),
        pytest.param("usr/lib/x y.so", "usr/lib/x y.so", [], id="a space"),
        pytest.param("usr/lib/\udcff.so", "usr/lib/\udcff.so", [], id="not UTF-8"),
        pytest.param("x.so", "x.so", [], id="at the root"),
        pytest.param("usr/lib/x.so", "./usr/lib/x.so", [], id="with a dot"),
    ],
)
@pytest.mark.parametrize("database", [INFO, "var/lib/dpkg/status.d/libx.md5sums"])
def test_replaces_the_sum_and_nothing_else(database: str, path: str, listed: str, entries: list[Spec]) -> None:
    """Wherever the database and the file lie, one sum changes."""

    def database_of(data: bytes) -> bytes:
        hexadecimal = hashlib.md5(data, usedforsecurity=False).hexdigest()
        mine = f"{hexadecimal}  {listed}\n".encode("utf-8", "surrogateescape")
        return b"rubbish\n" + line("usr/share/doc/x") + mine + b"\\" + line("odd\\nname") + line("last").rstrip()

    assert amended([*entries, file(path, OLD), file(database, database_of(OLD))], path) == {database: database_of(NEW)}


def test_says_nothing_of_what_did_not_change() -> None:
    """A file of the same name elsewhere is another file; a link that leads nowhere is no file."""
    entries = [file("usr/lib/x.so", OLD), file("opt/x.so", OLD), file(INFO, line("usr/lib/x.so") + line("no/x.so"))]

    assert amended(entries, "opt/x.so") == {}
    assert amended(entries) == {}


def test_a_sum_that_was_wrong_before_stays_wrong() -> None:
    """The line of a file that was diverted or changed by somebody is not slimmer's to correct."""
    wrong = line("usr/lib/x.so", b"another")

    assert amended([file("usr/lib/x.so", OLD), file(INFO, wrong)], "usr/lib/x.so") == {INFO: wrong}


def test_no_changed_file_is_read_before_the_sums_are() -> None:
    """A dry run knows the size and hashes nothing."""

    class Unread:
        def read_at(self, offset: int, length: int) -> bytes:
            raise AssertionError(f"{length} bytes were read from {offset}")

    rootfs = flattened([file("x.so", OLD), file(INFO, line("x.so"))])
    (decision,) = amend(rootfs, {"x.so": Content([Piece(Unread(), 0, 1 << 40)])})

    assert isinstance(decision, Replace)
    assert decision.content.size == len(line("x.so"))


def test_dpkg_itself_verifies(tmp_path: Path) -> None:
    """dpkg --verify complains of a changed library of a package that it installed, and no more once it is amended."""
    package, root = tmp_path / "package", tmp_path / "root"
    for folder in (package / "DEBIAN", package / "lib", root / "usr/lib", root / "var/lib/dpkg"):
        folder.mkdir(parents=True)
    for path in ("status", "available"):
        (root / "var/lib/dpkg" / path).touch()
    (root / "lib").symlink_to("usr/lib")
    (package / "lib/libx.so").write_bytes(OLD)
    (package / "lib/liby.so").write_bytes(OLD)
    (package / "DEBIAN/md5sums").write_bytes(line("lib/libx.so") + line("lib/liby.so"))
    (package / "DEBIAN/control").write_text(
        "Package: libx\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", package, tmp_path / "x.deb"], check=True, capture_output=True
    )
    dpkg = ["dpkg", f"--root={root}", "--force-not-root", "--force-bad-path", f"--log={tmp_path}/log"]
    subprocess.run([*dpkg, "-i", tmp_path / "x.deb"], check=True, capture_output=True)

    def verify() -> str:
        return subprocess.run([*dpkg, "--verify"], capture_output=True, text=True, check=False).stdout

    assert verify() == ""
    info = "var/lib/dpkg/info/libx.md5sums"
    entries = [symlink("lib", "usr/lib"), file("usr/lib/libx.so", OLD), file("usr/lib/liby.so", OLD)]
    new = amended([*entries, file(info, (root / info).read_bytes())], "usr/lib/libx.so")
    (root / "usr/lib/libx.so").write_bytes(NEW)
    assert verify() == "??5??????   /lib/libx.so\n"
    (root / info).write_bytes(new[info])

    assert verify() == ""
