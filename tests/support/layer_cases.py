"""Named cases for flattening: images that the engine takes, each the smallest that shows one thing."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from handmade import Spec, directory, file, hard_link, make_tar, symlink

Layers = list[list[Spec] | bytes]
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000").decode("utf-8", "surrogateescape")
ACCESS_LIST = bytes.fromhex(
    "0200000001000600ffffffff02000700e803000004000400ffffffff10000600ffffffff20000400ffffffff"
).decode("utf-8", "surrogateescape")
"""user::rw-, user:1000:rwx, group::r--, mask::rw-, other::r--: what the mode 0664 says too."""


def xattr(**values: str) -> Spec:
    """Give PAX records of extended attributes; `__` in a name stands for a dot."""
    return {"pax": {f"SCHILY.xattr.{name.replace('__', '.')}": value for name, value in values.items()}}


def node(path: str, kind: bytes, device: tuple[int, int] = (0, 0), **more: Any) -> Spec:
    """Give a device or a fifo."""
    return {"path": path, "type": kind, "device": device, **more}


def written_by_tar(*arguments: str, names: list[str]) -> bytes:
    """Give what GNU tar writes of files of these names, the first of which has a hole."""
    with tempfile.TemporaryDirectory() as made:
        for name in names:
            path = Path(made) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                stream.write(b"start")
                if name == names[0]:
                    stream.seek(1 << 20)
                    stream.write(b"middle")
                    stream.truncate(2 << 20)
            os.utime(path, (1_600_000_000, 1_600_000_000))
        return subprocess.run(
            ["tar", "-c", *arguments, "--sort=name", "-C", made, *names], check=True, capture_output=True
        ).stdout


def python_tar(statements: str) -> bytes:
    """Give what Python's tarfile writes to `tar`, opened with what STATEMENTS begin with; for what handmade cannot say."""
    program = f"import io, sys, tarfile\nout = io.BytesIO()\n{statements}\ntar.close()\nsys.stdout.buffer.write(out.getvalue())"
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout


def every_change() -> dict[str, Layers]:
    """Give the six changes of kind between file, directory and symlink, each to a path that the layer before has."""
    kinds: dict[str, list[Spec]] = {
        "file": [file("x", b"1")],
        "directory": [directory("x", mode=0o711), file("x/y")],
        "symlink": [symlink("x", "z")],
    }
    return {
        f"{old} becomes {new}": [[*kinds[old], file("z")], kinds[new]]
        for old in kinds
        for new in kinds
        if old != new
    }  # fmt: skip


LONG_PATH = ("d" * 99 + "/") * 39 + "f" * 100
"""4,000 bytes: with the engine's own directory before it, /var/lib/docker/overlay2/ID/diff/, the longest that fits."""

OF_CHANGES: dict[str, Layers] = {
    **every_change(),
    "replaced": [[file("a", b"1")], [file("a", b"2", mode=0o600)]],
    "whiteout of a file": [[file("a"), file("b")], [file(".wh.a")]],
    "whiteout of a directory": [[directory("d"), file("d/e/f"), file("b")], [file(".wh.d")]],
    "whiteout of nothing": [[file("a")], [file(".wh.b"), file("c/.wh.d")]],
    "whiteout before a file of its own layer": [[file("a", b"1")], [file(".wh.a"), file("a", b"2")]],
    "whiteout before a directory of its own layer": [[directory("d"), file("d/a")], [file(".wh.d"), directory("d"), file("d/b")]],
    "whiteout in a single layer": [[file("d/b"), file("d/.wh.a"), file(".wh.z"), file("e/.wh..wh..opq")]],
    "whiteout below a directory that nothing names": [[file("a")], [file("q/.wh.a")]],
    "whiteout below a file": [[file("q")], [file("q/.wh.a")]],
    "whiteout below its own layer's symlink": [[file("u/x")], [directory("u"), symlink("l", "u"), file("l/.wh.x")]],
    "whiteout below an older symlink": [[file("u/x"), symlink("l", "u")], [file("l/.wh.x")]],
    "opaque after": [[file("d/a"), file("d/b")], [directory("d"), file("d/c"), file("d/.wh..wh..opq")]],
    "opaque before": [[file("d/a"), file("d/b")], [directory("d"), file("d/.wh..wh..opq"), file("d/c")]],
    "opaque below its own layer's symlink": [[file("u/x")], [directory("u"), symlink("l", "u"), file("l/.wh..wh..opq")]],
    "opaque root": [[file("a"), file("d/b")], [file("c"), file(".wh..wh..opq")]],
    "opaque by overlayfs's own mark": [[file("d/x")], [directory("d", **xattr(trusted__overlay__opaque="y")), file("d/y")]],
    "device 0/0": [[file("a"), file("b")], [node("a", tarfile.CHRTYPE), node("c", tarfile.CHRTYPE)]],
    "delete and recreate": [[directory("d"), file("d/a")], [file(".wh.d")], [directory("d", mode=0o700), file("d/b")]],
    "delete, recreate and delete": [[file("d/a")], [file(".wh.d")], [file("d/b")], [directory("d"), file("d/.wh.b")]],
    "directory, file, directory": [[file("d/a")], [file("d")], [file("d/b")]],
    "later directory": [[directory("d", mode=0o700, owner=(1, 1), **xattr(user__a="1")), file("d/a")], [directory("d", mode=0o1777, mtime=7)]],
    "directory that a later layer does not name": [[directory("d", mode=0o700, owner=(5, 5), **xattr(user__a="1"))], [file("d/x")]],
    "below a setgid directory": [[directory("d", mode=0o2750, owner=(0, 7)), file("d/e/f/x"), directory("d/g"), file("h/x"), directory("h", mode=0o2755), file("d/i/.wh.x")]],
    "marker's letters amid a name": [[file("name.wh.part"), file("d.wh/x")], [file(".wh.name.wh.part")]],
    "empty layers": [[], [file("a")], [], make_tar()],
    "layer of no bytes": [[file("a")], b""],
    "name without bytes": [[file("x"), file("")]],
}  # fmt: skip

OF_LINKS: dict[str, Layers] = {
    "within a layer": [[file("a", b"1"), hard_link("d/b", "a"), hard_link("c", "d/b")]],
    "to a deleted file": [[file("c/orig", b"old"), hard_link("v", "c/orig")], [file("c/.wh.orig")]],
    "to an overwritten file": [[file("c/orig", b"old"), hard_link("v", "c/orig"), hard_link("w", "c/orig")], [file("c/orig", b"new")]],
    "overwritten link": [[file("a", b"old"), hard_link("b", "a")], [file("b", b"new")]],
    "of a layer above the same names": [[file("a"), hard_link("b", "a")], [file("a"), hard_link("b", "a"), hard_link("c", "a")]],
    "with metadata of its own": [[file("a", mode=0o4755), {**hard_link("b", "a"), "mode": 0o600, "owner": (7, 8), "mtime": 5}]],
    "with attributes of its own": [[file("a", **xattr(user__a="1", user__b="1")), {**hard_link("b", "a"), **xattr(user__b="2", user__c="2")}]],
    "that changes what three names have": [[file("a"), hard_link("b", "a"), {**hard_link("c", "b"), "mode": 0o400}]],
    "with capabilities": [[file("a", **xattr(security__capability=CAPABILITY)), {**hard_link("b", "a"), **xattr(security__capability=CAPABILITY)}]],
    "without its file's capabilities": [[file("a", **xattr(security__capability=CAPABILITY)), hard_link("b", "a")]],
    "to a symlink": [[symlink("s", "t"), {**hard_link("b", "s"), "owner": (7, 8), "mtime": 5}]],
    "to a dangling symlink's name": [[symlink("s", "/nowhere"), hard_link("d/b", "s")]],
    "to a device and a fifo": [[node("n", tarfile.CHRTYPE, (1, 3)), hard_link("n2", "n"), node("p", tarfile.FIFOTYPE), hard_link("p2", "p")]],
    "through its own layer's symlink": [[directory("usr/lib"), symlink("lib", "usr/lib"), file("usr/lib/x"), hard_link("lib/y", "lib/x")]],
    "with long names": [[file("f" * 250), hard_link("g" * 250, "f" * 250), hard_link("d/" * 60 + "h", "g" * 250)]],
    "to a whiteout": [[file("a"), file("b")], [file(".wh.a"), hard_link("b", "a")]],
    "named as a whiteout": [[file("a"), file("b")], [file("c"), hard_link(".wh.a", "c")]],
    "spelled otherwise": [[file("./d/a"), hard_link("b", "/d/./a"), hard_link("./c", "d/../d/a")]],
}  # fmt: skip

OF_PATHS: dict[str, Layers] = {
    "root and ./x and absolute": [[directory("."), directory("./d"), file("./d/a"), file("/b"), file("c//d")]],
    "root as slash": [[directory("/"), file("/x")]],
    "up and down again": [[directory("a"), file("a/../b")]],
    "file with a slash behind": [[file("x/")]],
    "absolute and looping symlinks": [[symlink("lib64", "/usr/lib64"), symlink("loop", "loop"), symlink("a", "b"), symlink("b", "a"), symlink("up", "../../..")]],
    "below its own layer's symlink": [[directory("usr/lib"), symlink("lib", "usr/lib"), file("lib/x"), directory("lib/sub"), file("usr/lib/sub/y")]],
    "below its own layer's absolute symlink": [[directory("usr/lib"), symlink("a/lib", "/usr/lib"), file("a/lib/x")]],
    "below symlinks of symlinks": [[directory("d/e"), symlink("a", "d"), symlink("d/up", "../a/e"), file("a/up/x"), file("d/up/../f")]],
    "below an older symlink": [[directory("usr/lib"), file("usr/lib/y"), symlink("lib", "usr/lib")], [file("lib/x")]],
    "a symlink that a later layer has as a directory": [[file("u/y"), symlink("l", "u")], [directory("l"), file("l/x")]],
    "255 bytes": [[file("x" * 255), directory("y" * 255), symlink("z" * 255, "t" * 255)]],
    "4,000 bytes": [[file(LONG_PATH)]],
    "symlink of 4,095 bytes": [[symlink("s", "x" * 4095)]],
    "newline, backslash, quotes": [[file("new\nline"), file("back\\slash"), file("'\""), file(" "), file("-"), symlink("l", "a\nb")]],
    "not UTF-8": [[file(os.fsdecode(b"not\xffutf8"), b"1"), hard_link("l", os.fsdecode(b"not\xffutf8")), symlink("s", os.fsdecode(b"\xfe"))]],
    "not UTF-8 by GNU tar": [python_tar("tar = tarfile.open(fileobj=out, mode='w', format=tarfile.GNU_FORMAT)\ntar.addfile(tarfile.TarInfo('caf\\udce9'))")],
    "letters that look the same": [[file("\u00e9"), file("e\u0301"), file("\u212a"), file("K"), file("k")]],
}  # fmt: skip

OF_INODES: dict[str, Layers] = {
    "modes": [[file(f"m{mode:o}", mode=mode) for mode in (0, 0o4755, 0o2755, 0o1755, 0o7777, 0o111)] + [directory("d", mode=0o3777), directory("e", mode=0)]],
    "owners": [[file("a", owner=(2097152, 2097151)), file("b", owner=(4294967293, 4294967294)), directory("d", owner=(65534, 1)), symlink("s", "x") | {"owner": (1000, 4294967293)}]],
    "owners beyond 32 bits": [[file("a", owner=(2**32 + 5, 2**32 - 1)), file("b", owner=(2**32 - 1, 0))]],
    "nanoseconds": [[file("a", pax={"mtime": "1600000000.123456789"}), directory("d", pax={"mtime": "1.5"}), symlink("s", "x") | {"pax": {"mtime": "1600000000.000000001"}}]],
    "before the epoch": [[file("a", mtime=-1), directory("d", mtime=-1), symlink("s", "x") | {"mtime": -5}, file("b", pax={"mtime": "-1.5"}), symlink("t", "x") | {"pax": {"mtime": "-1.5"}}]],
    "beyond 2^32": [[file("a", mtime=2**33), directory("d", mtime=2**33), symlink("s", "x") | {"mtime": 2**33}, file("b", mtime=10**10)]],
    "devices and fifos": [[node("c", tarfile.CHRTYPE, (300, 70000)), node("b", tarfile.BLKTYPE, (8, 1), mode=0o660, owner=(0, 6)), node("p", tarfile.FIFOTYPE, mode=0o622), node("z", tarfile.BLKTYPE)]],
    "capabilities": [[file("a", b"x", mode=0o755, **xattr(security__capability=CAPABILITY))], [file("b", **xattr(security__capability=CAPABILITY))]],
    "attributes": [[file("a", **xattr(user__a="1", user__bin="\x00\udcff\n=", trusted__b="2", security__ima="\x01", security__selinux="s")), directory("d", **xattr(user__a="1")), symlink("s", "t") | xattr(trusted__b="2")]],
    "attributes that the kernel or the engine leaves out": [[file("a", **xattr(user__empty="")), symlink("s", "t") | xattr(user__a="1"), node("p", tarfile.FIFOTYPE) | xattr(user__a="1")]],
    "access lists": [[file("a", mode=0o664, **xattr(system__posix_acl_access=ACCESS_LIST))]],
}  # fmt: skip

OF_FORMATS: dict[str, Layers] = {
    "v7": [written_by_tar("--format=v7", names=["a", "d/b"])],
    "ustar with a prefix": [written_by_tar("--format=ustar", names=["a", "d" * 90 + "/" + "e" * 90])],
    "GNU with long names": [written_by_tar("--format=gnu", names=["a", "d" * 90 + "/" + "e" * 90])],
    "PAX by GNU tar": [written_by_tar("--format=posix", names=["a", "d" * 200])],
    **{f"PAX sparse {version}": [written_by_tar("-S", "--format=posix", f"--sparse-version={version}", names=["a", "b"])] for version in ("0.0", "0.1", "1.0")},
    "numbers in base 256": [python_tar(
        "tar = tarfile.open(fileobj=out, mode='w', format=tarfile.GNU_FORMAT)\n"
        "for name, mtime, uid in (('a', -7, 3_000_000), ('b', 2**34, 2**32 - 3)):\n"
        "    info = tarfile.TarInfo(name); info.mtime = mtime; info.uid = uid; tar.addfile(info)")],
    "global header with a comment": [python_tar(
        "tar = tarfile.open(fileobj=out, mode='w', pax_headers={'comment': '0123abcd'})\ntar.addfile(tarfile.TarInfo('a'))")],
    "global header with values": [python_tar(
        "tar = tarfile.open(fileobj=out, mode='w', pax_headers={'mtime': '77', 'uid': '9', 'path': 'z', 'SCHILY.xattr.user.g': '1'})\n"
        "tar.addfile(tarfile.TarInfo('a'))")],
    "garbage behind the end": [make_tar(file("a"))[:1024] + bytes(1024) + b"garbage" * 1000],
    "no blocks of the end": [make_tar(file("a", b"1" * 512))[:1024]],
    "one block of the end": [make_tar(file("a", b"1" * 512))[:1536]],
}  # fmt: skip

TAKEN: dict[str, Layers] = {
    f"{about}: {name}": layers
    for about, cases in (("changes", OF_CHANGES), ("links", OF_LINKS), ("paths", OF_PATHS), ("inodes", OF_INODES), ("formats", OF_FORMATS))
    for name, layers in cases.items()
}  # fmt: skip


def tars(layers: Layers) -> list[bytes]:
    """Give the layers of a case as tars."""
    return [layer if isinstance(layer, bytes) else make_tar(*layer) for layer in layers]
