from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from slimmer.image import Config
from slimmer.plan import Link, Remove, Scene, Turn
from slimmer.propose import propose
from slimmer.rules.strip import rule as strip
from slimmer.settings import Settings, StripWith

from handmade import Spec, data_of, file, flattened, hard_link, symlink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slimmer.plan import Decision, Plan

    Compile = Callable[..., Path]

METADATA = b"Metadata-Version: 2.1\nName: nvidia-cublas-cu12\nLicense: NVIDIA Proprietary Software\n"


class Greedy:
    """A rule that removes what it was told to."""

    name = "greedy"
    summary = "for this test"
    on_by_default = False
    turn = Turn.FILES

    def __init__(self, *paths: str) -> None:
        self._paths = paths

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each path that is there."""
        yield from (Remove(path, "told to") for path in self._paths if path in scene.rootfs)


def scene(*entries: Spec, settings: Settings | None = None) -> Scene:
    """Give the scene of an amd64 image."""
    raw = json.dumps({"architecture": "amd64", "rootfs": {"diff_ids": []}}).encode()
    return Scene(flattened(list(entries)), Config(raw), settings or Settings())


@pytest.fixture
def linked(compiled: Compile, tmp_path: Path) -> list[Spec]:
    """Give two libraries, one of which needs the other, and one that nobody needs."""
    answer = compiled("answer", "-g3").read_bytes()
    user = compiled("needs_answer", "-g3", libraries=(f"-L{tmp_path}", "-lanswer")).read_bytes()
    return [
        file("usr/lib/libanswer.so", answer),
        file("usr/lib/libneeds_answer.so", user),
        file("opt/spare.so", answer),
    ]


def test_what_somebody_links_to_is_not_removed(linked: list[Spec]) -> None:
    """A rule that takes a needed library is overruled for it alone, and the report says for whom."""
    planned, links = propose(scene(*linked), [Greedy("usr/lib/libanswer.so", "opt/spare.so")], ())

    assert "usr/lib/libanswer.so" in planned.result
    assert "opt/spare.so" not in planned.result
    (kept,) = [kept for kept in planned.kept if kept.rule == "greedy"]
    assert kept.path == "usr/lib/libanswer.so"
    assert kept.reason.startswith("linkage: /usr/lib/libneeds_answer.so needs libanswer.so, which was")
    assert set(links.unresolved_after) < set(links.unresolved_before)


def test_both_may_go_together(linked: list[Spec]) -> None:
    """A library that goes with the only one that needs it is nobody's loss."""
    planned, _ = propose(scene(*linked), [Greedy("usr/lib")], ())

    assert [path for path, _ in planned.result.entries()] == ["opt", "opt/spare.so", "usr"]
    assert planned.kept == ()


def test_stripping_breaks_no_link(linked: list[Spec]) -> None:
    """Every symbol that was bound is bound after stripping; the counts say how many were looked at."""
    planned, links = propose(scene(*linked), [strip], ())

    assert {change.path for change in planned.changes} == {entry["path"] for entry in linked}
    assert links.objects == 3
    assert links.symbols > 0


def how(planned: Plan) -> str:
    """Give how the one changed file was made."""
    (change,) = planned.changes
    return change.how


def test_binutils_writes_when_it_is_asked_to(compiled: Compile) -> None:
    """--strip-with binutils takes GNU strip's file where the proof agrees, and says so."""
    entry = file("x.so", compiled("answer", "-g3").read_bytes())

    planned, _ = propose(scene(entry, settings=Settings(StripWith.BINUTILS)), [strip], ())
    own, _ = propose(scene(entry), [strip], ())

    assert how(planned).startswith("GNU strip")
    assert how(own).startswith("layout:")
    assert abs(planned.result.size() - own.result.size()) < 4096


def test_layout_steps_in_where_strip_fails(compiled: Compile) -> None:
    """What strip refuses or breaks is written by layout behind the same proof; the report names what strip did."""
    library = compiled("answer", "-g3").read_bytes()
    # A section name that no strip program takes: outside the table of names, which the loader never reads.
    foreign = library[:7] + b"\x09" + library[8:18] + (0xB7).to_bytes(2, "little") + library[20:]
    raw = Config(json.dumps({"architecture": "arm64", "rootfs": {"diff_ids": []}}).encode())
    root = flattened([file("x.so", foreign)])

    planned, _ = propose(Scene(root, raw, Settings(StripWith.BINUTILS)), [strip], ())

    assert how(planned).startswith("layout, because of what GNU strip")


def test_proprietary_libraries_are_kept_unless_included(compiled: Compile) -> None:
    """A library of a distribution whose licence forbids changes stays, with that reason; the option opts in."""
    where = "usr/lib/python3/dist-packages"
    record = b"nvidia/cublas/lib/libcublas.so.12,sha256=x,1\nnvidia_cublas_cu12-12.8.dist-info/METADATA,,\n"
    entries = [
        file(f"{where}/nvidia/cublas/lib/libcublas.so.12", compiled("answer", "-g3").read_bytes()),
        file(f"{where}/nvidia_cublas_cu12-12.8.dist-info/METADATA", METADATA),
        file(f"{where}/nvidia_cublas_cu12-12.8.dist-info/RECORD", record),
    ]

    kept, _ = propose(scene(*entries), [strip], ())
    included, _ = propose(scene(*entries, settings=Settings(include_proprietary=True)), [strip], ())

    assert kept.changes == ()
    assert "nvidia-cublas-cu12 is proprietary" in kept.kept[0].reason
    assert next(change.path for change in included.changes if change.rule == "strip").endswith("libcublas.so.12")


def test_the_record_of_a_changed_library_is_true(compiled: Compile) -> None:
    """pip's RECORD has the size of the stripped file, and the estimate counts the RECORD's own change."""
    where = "usr/lib/python3/dist-packages"
    library = compiled("answer", "-g3").read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(library).digest()).rstrip(b"=").decode()
    record = f"pkg/x.so,sha256={digest},{len(library)}\r\n".encode()
    entries = [file(f"{where}/pkg/x.so", library), file(f"{where}/pkg-1.dist-info/RECORD", record)]

    planned, _ = propose(scene(*entries), [strip], ())

    slimmed = data_of(planned.result, f"{where}/pkg/x.so")
    digest = base64.urlsafe_b64encode(hashlib.sha256(slimmed).digest()).rstrip(b"=").decode()
    expected = f"pkg/x.so,sha256={digest},{len(slimmed)}\r\n".encode()
    assert data_of(planned.result, f"{where}/pkg-1.dist-info/RECORD") == expected
    assert sum(change.saved for change in planned.changes) == planned.source.size() - planned.result.size()
    assert [change.files for change in planned.changes] == [1, 0]


class Linking:
    """A rule that makes one file of two."""

    name = "linking"
    summary = "for this test"
    on_by_default = False
    turn = Turn.LINKS

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Link of the two files with two names each, or where that is vetoed nothing."""
        yield Link("b/1", "a/1", "told to")
        assert scene.veto("b/2") == ("excluded by --exclude /b/2" if scene.veto("b/2") else None)


@pytest.mark.parametrize("exclude", [(), ("/b/2",)], ids=["linked", "excluded by another name"])
def test_a_link_takes_all_names_of_an_inode(exclude: tuple[str, ...]) -> None:
    """All names become names of the one file, its bytes are saved once, and a veto of one name holds for all."""
    roots = scene(file("a/1", b"same"), file("b/1", b"same"), hard_link("b/2", "b/1"))

    planned, _ = propose(roots, [Linking()], exclude)

    names = planned.result.names("a/1")
    if exclude:
        assert names == ["a/1"]
        assert [kept.path for kept in planned.kept] == ["b/1"]
    else:
        assert names == ["a/1", "b/1", "b/2"]
        assert [(change.action, change.saved) for change in planned.changes] == [("link", 4)]
        assert planned.source.size() - planned.result.size() == 4


@pytest.mark.parametrize("spelling", ["link", "provider"])
def test_the_name_by_which_a_library_is_found_is_not_removed(linked: list[Spec], spelling: str) -> None:
    """A symlink that leads a needed name to its library is as good as the library."""
    needed, other = linked[0], linked[1]
    entries = [{**needed, "path": "usr/lib/libanswer.so.1"}, symlink("usr/lib/libanswer.so", "libanswer.so.1"), other]
    path = "usr/lib/libanswer.so" if spelling == "link" else "usr/lib/libanswer.so.1"

    planned, _ = propose(scene(*entries), [Greedy(path)], ())

    assert path in planned.result
    assert [kept.path for kept in planned.kept] == [path]


def test_a_symlink_to_a_directory_of_libraries_is_not_removed(compiled: Compile, tmp_path: Path) -> None:
    """A runpath may lead through a link that no needed name tells."""
    answer = compiled("answer").read_bytes()
    user = compiled("needs_answer", libraries=(f"-L{tmp_path}", "-lanswer", "-Wl,-rpath,/opt/l")).read_bytes()
    entries = [
        file("srv/l/libanswer.so", answer),
        symlink("opt/l", "/srv/l"),
        symlink("opt/m", "/srv/m"),
        file("app/x.so", user),
    ]

    planned, _ = propose(scene(*entries), [Greedy("opt/l")], ())

    assert "opt/l" in planned.result
    assert [kept.path for kept in planned.kept] == ["opt/l"]
