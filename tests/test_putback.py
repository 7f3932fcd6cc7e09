"""Changes that are put back without asking the rules again, and the small layer that makes such an image of the other."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from slimmer.content import Content
from slimmer.flattening import flatten
from slimmer.image import Config
from slimmer.inode import Kind
from slimmer.layer import read_layer
from slimmer.layer_writer import layer_chunks
from slimmer.plan import Remove, Replace, Scene, Turn
from slimmer.propose import propose
from slimmer.putback import laid_over, put_back

from handmade import Spec, data_of, directory, file, flattened, hard_link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.plan import Decision, Plan
    from slimmer.rootfs import Rootfs

SITE = "usr/lib/python3/dist-packages"
RECORD = f"{SITE}/x-1.dist-info/RECORD"
REMOVABLE = ["cache", "cache/deep/three", "opt/b", f"{SITE}/x/gone.py"]
CHANGEABLE = ["a/one", "opt/b/c/four", f"{SITE}/x/five.so", f"{SITE}/x/six.so"]


def row(path: str, data: bytes) -> str:
    """Give a RECORD's row of a file."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}\n"


def root() -> list[Spec]:
    """Give a root with a directory of its own mode and owner, hard links into a cache, and a Python distribution."""
    data = {name: name.encode() * 40 for name in ("x/five.so", "x/six.so", "x/gone.py")}
    rows = "".join(row(name, content) for name, content in data.items()) + "x-1.dist-info/RECORD,,\n"
    return [
        directory("a", mode=0o750, owner=(7, 8)), file("a/one", b"one" * 50, mode=0o4711, owner=(5, 6)),
        directory("cache", mode=0o700), hard_link("cache/first", "a/one"),
        directory("cache/deep", owner=(1, 1)), file("cache/deep/three", b"three"),
        directory("opt"), directory("opt/b", mode=0o1777), directory("opt/b/c"), file("opt/b/c/four", b"four" * 30),
        *(file(f"{SITE}/{name}", content) for name, content in data.items()), file(RECORD, rows.encode()),
    ]  # fmt: skip


class Removing:
    """A rule that removes what it was told to."""

    name, summary, on_by_default, turn = "removing", "for this test", False, Turn.FILES

    def __init__(self, paths: set[str]) -> None:
        self._paths = paths

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each path that is there."""
        yield from (Remove(path, "told to") for path in sorted(self._paths) if path in scene.rootfs)


class Changing(Removing):
    """A rule that gives files half of their bytes."""

    name, turn = "changing", Turn.CONTENTS

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Replace for each path that is still there."""
        for path in sorted(self._paths):
            inode = scene.rootfs.get(path)
            if inode is not None and inode.content is not None:
                yield Replace(path, inode.content.slice(0, inode.size // 2), "told to")


def planned(source: Rootfs, removed: set[str], changed: set[str], restored: dict[str, str]) -> Plan:
    """Give what the two rules make of a root with some paths put back."""
    scene = Scene(source, Config(b'{"rootfs": {"diff_ids": []}}'))
    return propose(scene, [Removing(removed), Changing(changed)], (), None, restored)[0]


def facts(rootfs: Rootfs) -> dict[str, object]:
    """Give all that can be seen of every path, its other names with it."""
    return {
        path: (
            inode.kind, oct(inode.mode), inode.uid, inode.gid, inode.mtime,
            data_of(rootfs, path) if inode.kind is Kind.FILE else b"",
            rootfs.names(path) if inode.kind is Kind.FILE else [],
        )
        for path, inode in rootfs.entries()
    }  # fmt: skip


def layer(rootfs: Rootfs) -> Content:
    """Give the tar of a layer."""
    return Content.of(b"".join(layer_chunks(rootfs.as_layer())))


@given(st.sets(st.sampled_from(REMOVABLE)), st.sets(st.sampled_from(CHANGEABLE)), st.data())
def test_it_is_what_the_rules_make_of_it(removed: set[str], changed: set[str], data: st.DataObject) -> None:
    """Every byte, mode, owner and hard link is as in a plan that was told to leave these paths; RECORD is true."""
    source = flattened(root())
    plan = planned(source, removed, changed, {})
    paths = sorted({change.path for change in plan.changes if change.path != RECORD})
    chosen = data.draw(st.sets(st.sampled_from(paths))) if paths else set()

    result = put_back(plan, chosen)

    expected = planned(source, removed, changed, dict.fromkeys(chosen, "told to"))
    assert facts(result.result) == facts(expected.result)
    assert {change.path for change in result.changes if change.files} == {
        change.path for change in expected.changes if change.files
    }


@given(st.sets(st.sampled_from(REMOVABLE)), st.sets(st.sampled_from(CHANGEABLE)), st.data())
def test_the_layer_makes_one_of_the_other(removed: set[str], changed: set[str], data: st.DataObject) -> None:
    """Laid over the first as an engine does it, it gives the second, the directories on the way as they are."""
    plan = planned(flattened(root()), removed, changed, {})
    paths = sorted({change.path for change in plan.changes})
    above = put_back(plan, data.draw(st.sets(st.sampled_from(paths))) if paths else set()).result

    laid = laid_over(plan.result, above)

    names = (plan.result, laid)
    both = flatten((str(number), read_layer(layer(each), "")) for number, each in enumerate(names))
    assert facts(both) == facts(above)


def test_the_layer_is_small() -> None:
    """What is the same in both is not in it, but for the directories that lead to what is not."""
    plan = planned(flattened(root()), {"cache"}, {f"{SITE}/x/five.so", f"{SITE}/x/six.so"}, {})
    above = put_back(plan, [f"{SITE}/x/five.so"]).result

    found = laid_over(plan.result, above)

    assert [path for path, inode in found.entries() if inode.kind is Kind.FILE] == [f"{SITE}/x/five.so", RECORD]
    assert sum(inode.kind is Kind.DIRECTORY for _, inode in found.entries()) == 6


def test_a_layer_more_changes_nothing_else_of_a_configuration() -> None:
    """diff_ids and history have one more line; every other byte stays."""
    raw = '{"z":1.50,"rootfs":{"type":"layers","diff_ids":["sha256:1"]},"config":{"Env":["A=ü"]},"history":[{"a":1}]}'

    found = json.loads(Config(raw.encode()).with_layer("sha256:2", "by me").raw)

    was = json.loads(raw)
    assert found.pop("rootfs") == {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]}
    assert found.pop("history") == [{"a": 1}, {"created_by": "by me"}]
    assert found == {key: value for key, value in was.items() if key in {"z", "config"}}
