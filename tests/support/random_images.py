"""Layers made at random over a few names, so that each layer meets what older ones left there.

Every layer is one that the engine may take: a path is named once, a link comes after its file. Where a path leads through
a symlink, two names may be one, and then the engine refuses some of the layers all the same.
"""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from handmade import Spec

    Draw = Callable[[st.SearchStrategy[Any]], Any]

NAMES = ["a", "b", "c"]
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000").decode("utf-8", "surrogateescape")

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
targets = st.sampled_from([*NAMES, "/a", "/a/b", "b/c", "../a", "..", "../../b", "nowhere", "/"])
records = st.fixed_dictionaries(
    {},
    optional={
        "mtime": st.sampled_from(["1600000000.123456789", "-1.5", "5000000000.000000001", "0.5"]),
        "SCHILY.xattr.user.note": st.sampled_from(["x", "\udcff\x00\n"]),
        "SCHILY.xattr.trusted.note": st.just("t"),
        "SCHILY.xattr.security.capability": st.just(CAPABILITY),
    },
)
metadata = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from([0, 0o600, 0o755, 0o1777, 0o4755, 0o2711]),
        "owner": st.sampled_from([(1000, 1000), (4294967293, 0), (0, 3_000_000)]),
        "mtime": st.sampled_from([0, -1, 1_000_000_000, 5_000_000_000]),
        "pax": records,
    },
)
kinds = st.sampled_from(
    ["file", "file", "directory", "directory", "symlink", "link", "link", "whiteout", "whiteout", "opaque", "fifo", "device"]
)  # fmt: skip
_TYPES = {
    "file": tarfile.REGTYPE, "directory": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "fifo": tarfile.FIFOTYPE,
    "device": tarfile.CHRTYPE,
}  # fmt: skip


@st.composite
def layers(draw: Draw) -> list[Spec]:
    """Give the entries of a layer, as `handmade.make_tar` takes them."""
    there: dict[str, str] = {}  # what the engine's directory for the layer holds by now
    entries: list[Spec] = []
    for _ in range(draw(st.integers(1, 9))):
        kind, path = draw(kinds), draw(paths)
        parents = _parents(path)
        if any(there.get(parent, "directory") not in {"directory", "implied", "symlink"} for parent in parents):
            continue
        if not _may_come(kind, path, there):
            continue
        entry = _entry(draw, kind, path, there)
        if entry is None or any(entry["path"] == other["path"] for other in entries):
            continue
        for parent in parents:
            there.setdefault(parent, "implied")
        if kind != "opaque":
            there[path] = kind
        entries.append(entry)
    return entries


def _may_come(kind: str, path: str, there: dict[str, str]) -> bool:
    if kind == "whiteout":
        return path not in there
    # What replaces a directory removes what is below it, and then the times of directories that were there cannot be set.
    below = {what for other, what in there.items() if other.startswith(f"{path}/")}
    return kind in {"directory", "opaque"} or "directory" not in below


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _entry(draw: Draw, kind: str, path: str, there: dict[str, str]) -> Spec | None:
    parent, _, name = path.rpartition("/")
    if kind in {"whiteout", "opaque"}:
        name = f".wh.{name}" if kind == "whiteout" else ".wh..wh..opq"
        return {"path": f"{parent}/{name}" if parent else name}
    if kind == "link":
        files = [other for other, what in there.items() if what not in {"directory", "implied", "whiteout"}]
        if not files:
            return None
        return {"path": path, "type": tarfile.LNKTYPE, "link": draw(st.sampled_from(files)), **draw(metadata)}
    entry = {"path": path, "type": _TYPES[kind], **draw(metadata)}
    if kind == "file":
        # Of the same length, and of each file its own: another's bytes in its place would be seen.
        entry["data"] = draw(st.sampled_from([b"", b"%03d" % len(there), b"%03d" % len(there) * 500]))
    elif kind == "symlink":
        entry["link"] = draw(targets)
    elif kind == "device":
        entry["device"] = draw(st.sampled_from([(1, 3), (300, 70000), (0, 0)]))
    return entry


images = st.lists(layers(), min_size=1, max_size=4)
