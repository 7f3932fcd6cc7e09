"""Named cases for flattening: layers that the engine, or slimmer, does not take."""

from __future__ import annotations

import tarfile
from typing import NamedTuple

from handmade import directory, file, hard_link, make_tar, symlink
from layer_cases import LONG_PATH, Layers, python_tar, written_by_tar, xattr


class Read(NamedTuple):
    """Layers that the engine refuses, in its words, and that slimmer reads: with these paths."""

    layers: Layers
    engine: str
    paths: set[str]


class Refused(NamedTuple):
    """Layers that slimmer refuses, in its words; the engine in its own, or not at all."""

    layers: Layers
    engine: str | None
    slimmer: str


READ: dict[str, Read] = {
    "a path twice": Read([[file("a", b"1"), file("./a", b"2")]], "duplicates of file paths", {"a"}),
    "link before its target": Read([[hard_link("a", "b"), file("b")]], "no such file", {"a", "b"}),
    "link to an older layer's file": Read([[file("a")], [hard_link("b", "a")]], "no such file", {"a", "b"}),
    "link to what its own layer deletes": Read([[file("a")], [hard_link("b", "a"), file(".wh.a")]], "no such file", {"b"}),
    "link through an older layer's symlink": Read([[file("u/a"), symlink("l", "u")], [hard_link("b", "l/a")]], "no such file", {"u", "u/a", "l", "b"}),
    "whiteout after a file of its own layer": Read([[file("a")], [file("a"), file(".wh.a")]], "file exists", {"a"}),
    "below a whiteout of its own layer": Read([[file("d/a")], [file(".wh.d"), file("d/b")]], "not a directory", {"d", "d/b"}),
    "below a dangling symlink of its own layer": Read([[directory("u")], [symlink("l", "u/x"), file("l/y")]], "no such file", {"l", "u", "u/x", "u/x/y"}),
    "GNU sparse": Read([written_by_tar("-S", "--format=gnu", names=["a"])], "unhandled tar header type 83", {"a"}),
    "contiguous file": Read([[{"path": "c", "type": tarfile.CONTTYPE}]], "unhandled tar header type 55", {"c"}),
    "name of 256 bytes": Read([[file("x" * 256)]], "file name too long", {"x" * 256}),
    "path of 4,001 bytes": Read([[file(LONG_PATH + "f")]], "file name too long", {LONG_PATH[: 100 * count - 1] for count in range(1, 40)} | {LONG_PATH + "f"}),
    "symlink of 4,096 bytes": Read([[symlink("s", "x" * 4096)]], "file name too long", {"s"}),
    "the root as a file": Read([[file("x"), file("/")]], "resource busy", {"x"}),
}  # fmt: skip

REFUSED: dict[str, Refused] = {
    "no tar": Refused([b"this is no tar" * 100], "invalid tar header", "layer 0 is not a tar that can be read"),
    "cut inside a file": Refused([make_tar(file("a", b"12345" * 999))[:2048]], "unexpected EOF", "ends inside 'a'"),
    "cut inside a header": Refused([make_tar(file("a"), file("b"))[:800]], "unexpected EOF", "bad header at byte 512"),
    "cut inside a sparse file": Refused([written_by_tar("-S", "--format=posix", names=["a"])[:-10_752]], "EOF", "ends inside 'a'"),
    "a block of zeros amid": Refused([make_tar(file("a"))[:512] + bytes(512) + make_tar(file("b"))], "invalid tar header", "bad header at byte 512"),
    "climbs out": Refused([[file("a"), file("../../evil")]], None, "'../../evil', which climbs out of the root"),
    "a link climbs out": Refused([[file("a"), hard_link("b", "../a")]], None, "'../a', which climbs out of the root"),
    "link to nothing": Refused([[file("a"), hard_link("b", "gone")]], "no such file", "'b' as a hard link to 'gone', which is no file"),
    "link to itself": Refused([[hard_link("b", "b")]], "no such file", "'b' as a hard link to 'b', which is no file"),
    "link to a directory": Refused([[directory("d"), hard_link("b", "d")]], "operation not permitted", "'b' as a hard link to 'd', which is no file"),
    "below a file": Refused([[file("a"), file("a/b")]], "not a directory", "'a/b', which lies below 'a', which is no directory"),
    "deep below a file": Refused([[file("a"), file("a/b/c")]], "not a directory", "'a/b/c', which lies below 'a', which is no directory"),
    "below a loop": Refused([[symlink("l", "l"), file("l/y")]], "too many levels", "'l/y', which lies below a loop of symlinks"),
    "path of 4,096 bytes": Refused([[file("d/" * 2047 + "ff")]], "file name too long", "a path of 4,096 bytes, where Linux takes 4,095"),
    "symlink to no name": Refused([[symlink("s", "")]], "no such file", "'s' as a symlink to '', which is no path"),
    "whiteout of no name": Refused([[file("d/.wh.")]], "file exists", "'d/.wh.', a whiteout that names nothing"),
    "whiteout of its directory": Refused([[file("d/.wh..")]], "file exists", "'d/.wh..', a whiteout that names nothing"),
    "below a whiteout's name": Refused([[file("d/a")], [file(".wh.d/x")]], None, "'.wh.d/x', which lies below '.wh.d', a whiteout"),
    "overlayfs's metacopy, on a hard link": Refused([[file("a", b"1"), hard_link("b", "a") | xattr(trusted__overlay__metacopy="")]], None, "'b' with trusted.overlay.metacopy"),
    "overlayfs's redirect": Refused([[file("e/x")], [directory("d", **xattr(trusted__overlay__redirect="e"))]], None, "'d' with trusted.overlay.redirect"),
    "volume header": Refused([[file("a"), {"path": "label", "type": b"V"}]], "unhandled tar header type 86", "'label' of tar type b'V'"),
    "mtime of words": Refused([[file("a", pax={"mtime": "soon"})]], "invalid tar header", "'a' the modification time 'soon'"),
    "empty record": Refused([[file("a", pax={"mtime": ""})]], None, "'a' an empty PAX record mtime"),
    "a header as long as a layer": Refused([python_tar(
        "tar = tarfile.open(fileobj=out, mode='w')\ninfo = tarfile.TarInfo('x'); info.type = b'x'; info.size = 1 << 21\n"
        "tar.addfile(info, io.BytesIO(bytes(1 << 21)))")], "Error processing", "a header of 2097152 bytes"),
    "a size below nothing": Refused([python_tar(
        "tar = tarfile.open(fileobj=out, mode='w', format=tarfile.GNU_FORMAT)\ninfo = tarfile.TarInfo('a'); info.size = -512\n"
        "tar.addfile(info)")], "invalid tar header", "a header of -512 bytes"),
}  # fmt: skip
