from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.checks import Pair, Stored, Verdict
from slimmer.checks.disk import on_disk
from slimmer.checks.files import check
from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.image import Config, Image, Layer, digest
from slimmer.plan import Change, Plan

from handmade import Spec, directory, file, flattened, hard_link, make_tar, symlink

if TYPE_CHECKING:
    from pathlib import Path

TREE: list[Spec] = [
    directory("."), directory("d", owner=(1000, 1000)), file("d/a", b"abc", mode=0o4755), hard_link("d/b", "d/a") | {"mode": 0o4755},
    file("d/other", b"xyz"), symlink("l", "d/a"), file("note", b"", pax={"SCHILY.xattr.user.note": "1"}),
]  # fmt: skip


def verdict(planned: list[Spec], stored: list[Spec], changed: str = "d/other", diff_id: str | None = None) -> Verdict:
    """Give what the check says of an engine that has STORED where PLANNED was sent."""
    rootfs, layer = flattened(planned), make_tar(*stored)
    plan = Plan(rootfs, rootfs, (), (Change(changed, "strip", "replace", 4, 3, 1, "test"),), ())
    image = Image("x", Config(b"{}"), (Layer(diff_id or digest(layer), Content.of(layer)),))
    nothing: Any = None
    return check.examine(Pair(nothing, nothing, plan, nothing, lambda: Stored(image, None)))


def test_what_was_planned_is_accepted() -> None:
    """The same tree, whatever the order of its entries."""
    assert verdict(TREE, TREE).status == "passed"
    assert verdict(TREE, [*TREE[:5], TREE[6], TREE[5]]).reason == "7 paths are as planned, in its tar"


def test_a_layer_that_is_as_it_was_sent_is_not_held_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone through beside the plan: of a million files nothing is held for that."""

    def refuse(_: object) -> None:
        raise AssertionError("the layer was read into a root")

    monkeypatch.setattr("slimmer.checks.files.flatten", refuse)

    assert verdict(TREE, TREE).reason == "7 paths are as planned, in its tar"
    with pytest.raises(AssertionError):
        verdict(TREE, TREE[::-1])


@pytest.mark.parametrize(
    ("path", "new", "words"),
    [
        ("d/other", file("d/other", b"xyz", mode=0o755), "/d/other is"),
        ("d/a", file("d/a", b"abcd", mode=0o4755), "/d/a is"),
        ("d/other", file("d/other", b"xyZ"), "/d/other has not the bytes that were planned"),
        ("d/other", hard_link("d/other", "d/a") | {"mode": 0o4755}, "/d/a is one file with"),
        ("d/b", file("d/b", b"abc", mode=0o4755), "/d/a is one file with"),
        ("l", symlink("l", "d/b"), "/l is"),
        ("d", directory("d"), "/d is"),
        ("note", file("note", b""), "/note is"),
        ("note", None, "/note is missing"),
        ("note", file("note", b"", pax={"SCHILY.xattr.user.note": "1"}, mtime=7), "/note is"),
    ],
)
def test_a_single_difference_is_told(path: str, new: Spec | None, words: str) -> None:
    """Mode, owner, size, bytes, link, attribute, time or a path less."""
    stored = [new if entry["path"] == path else entry for entry in TREE]

    found = verdict(TREE, [entry for entry in stored if entry is not None])

    assert found.status == "failed"
    assert found.reason.startswith(words)


def test_a_path_too_much_is_told() -> None:
    """The engine has nothing that was not planned."""
    assert verdict(TREE, [*TREE, file("more", b"")]).reason == "/more was not planned"


def test_bytes_of_a_file_that_no_rule_changed_are_told() -> None:
    """The digest of the whole layer is another, and the file that has other bytes is found."""
    stored = [file("d/other", b"xyZ") if entry["path"] == "d/other" else entry for entry in TREE]

    found = verdict(TREE, stored, changed="note", diff_id=digest(make_tar(*TREE)))

    assert found.reason == "/d/other has not the bytes that were planned"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Give a directory with the files of a small tree."""
    (tmp_path / "d").mkdir(mode=0o755)
    (tmp_path / "d/a").write_bytes(b"abc")
    (tmp_path / "d/b").hardlink_to(tmp_path / "d/a")
    (tmp_path / "d/other").write_bytes(b"xyz")
    (tmp_path / "l").symlink_to("d/a")
    for path in ("d/a", "d/other"):
        (tmp_path / path).chmod(0o644)
    os.setxattr(tmp_path / "d/other", "user.note", b"1")
    return tmp_path


def on(disk: Path) -> list[str]:
    """Give what is wrong with a directory that should hold the small tree."""
    owner = {"owner": (os.getuid(), os.getgid())}
    note = {"SCHILY.xattr.user.note": "1"}
    planned = flattened([
        directory(".", mode=disk.stat().st_mode & 0o7777, **owner), directory("d", **owner), file("d/a", b"abc", **owner),
        hard_link("d/b", "d/a") | owner, file("d/other", b"xyz", pax=note, **owner), symlink("l", "d/a") | owner,
    ])  # fmt: skip
    return list(on_disk(disk, planned))


def test_a_directory_that_is_as_planned_is_accepted(disk: Path) -> None:
    """Nothing is said of it."""
    assert on(disk) == []


def test_what_an_engine_did_to_files_is_told(disk: Path) -> None:
    """Each in a sentence with its path: a mode, an attribute, a broken link, what is missing and what is too much."""
    (disk / "d/b").unlink()
    (disk / "d/b").write_bytes(b"abc")
    (disk / "d/a").chmod(0o600)
    os.removexattr(disk / "d/other", "user.note")
    (disk / "l").unlink()
    (disk / "new").mkdir()
    (disk / "new" / "er").write_bytes(b"")

    found = "\n".join(on(disk))

    for words in (
        "/d/a has the mode 600 instead of 644", "/d/other has the attributes {} on the engine's disk",
        "/l is missing on the engine's disk", "/new is on the engine's disk and was not planned",
        "/new/er is on the engine's disk and was not planned",
    ):  # fmt: skip
        assert words in found


@pytest.mark.parametrize("name", ["d/b", "d/other"])
def test_files_that_are_linked_otherwise_are_told(disk: Path, name: str) -> None:
    """A link that became a file of its own, and a file that became a link of another, which is the worse of the two."""
    (disk / name).unlink()
    if name == "d/b":
        (disk / name).write_bytes(b"abc")
    else:
        (disk / name).hardlink_to(disk / "d/a")
    (disk / name).chmod(0o644)

    assert any("is linked otherwise on the engine's disk" in sentence for sentence in on(disk))


def test_a_directory_that_goes_is_no_fault(tmp_path: Path) -> None:
    """Somebody removes the image while it is looked at: one sentence, whatever is read at that moment."""
    with pytest.raises(SourceError, match=r"cannot be read where the engine keeps it, in .*gone: No such file"):
        list(on_disk(tmp_path / "gone", flattened([file("a")])))
