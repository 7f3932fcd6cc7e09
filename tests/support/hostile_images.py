"""Images that somebody made to hurt: metadata, layers and files that are what no tool writes, the same for the same seed."""

from __future__ import annotations

import json
import struct
from copy import deepcopy
from random import Random
from typing import TYPE_CHECKING, Any

from handmade import directory, file, hard_link, make_tar, symlink
from image_files import config_of, sha256
from layer_cases import TAKEN

if TYPE_CHECKING:
    from pathlib import Path

    from handmade import Spec

_STATUS = b"""Package: gcc-12
Status: install ok installed
Section: devel
Architecture: amd64
Version: 12.2.0-14
Depends: libc6 (>= 2.36), binutils
Conffiles:
 /etc/gcc.conf 0123456789abcdef0123456789abcdef

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9

Package: binutils
Status: install ok installed
Architecture: amd64
Version: 2.40-2
"""
_NUMBERS: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 10**30, 0.5, 1e308, "", "x", "../../etc/passwd", "/", "sha256:",
    "sha256:" + "0" * 64, "\x1b]0;owned\x07", "\udcff", "a\nb", "\u202ex", "--help", "@file", [], {}, [None], {"": None},
    [[]], ["x"], {"x": {}}, "linux", "windows", "amd64",
)  # fmt: skip
_RAW = (
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"9" * 5000,
    b"[" * 5000,
    b'"\\ud800"',
    b"{",
    b"\xff",
    b"\0",
    b"\xef\xbb\xbf",
)
_TYPES = b"\0012345678DKLNSVXgxZ"


def rich_root(*libraries: bytes) -> list[Spec]:
    """Give files that every rule looks at: databases of packages, caches, configurations, scripts, LIBRARIES."""
    packages, cache = "usr/lib/python3/dist-packages", "root/.cache/uv"
    info = f"{packages}/app-1.0.dist-info"
    return [
        directory("tmp", mode=0o1777), file("tmp/left", b"x"), file("var/tmp/y"), symlink("lib", "usr/lib"),
        file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"),
        file("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n/opt/lib\n"),
        file("etc/ld.so.conf.d/x.conf", b"/usr/local/lib\n"), file("etc/ld.so.cache", b"glibc-ld.so.cache1.1" + bytes(60)),
        file("etc/ld.so.preload", b"/usr/lib/liba.so\n"), file("etc/pip.conf", b"[global]\ncache-dir = /var/pip\n"),
        file("etc/uv/uv.toml", b'cache-dir = "/var/uv"\n'), file("etc/debian_version", b"12\n"),
        file("etc/apt/apt.conf.d/50x", b'Dir::Cache "/var/cache/apt";\n'), file("etc/pip.conf.d/x", b"tmp = /tmp/left\n"),
        file("var/lib/dpkg/status", _STATUS),
        file("var/lib/dpkg/info/gcc-12.list", b"/.\n/usr\n/usr/bin\n/usr/bin/gcc-12\n/usr/lib/libgcc.a\n"),
        file("var/lib/dpkg/info/libc6:amd64.list", b"/.\n/usr/lib/liba.so\n"),
        file("var/lib/dpkg/info/libc6:amd64.md5sums", b"0123456789abcdef0123456789abcdef  usr/lib/liba.so\n"),
        file("var/lib/dpkg/diversions", b"/usr/bin/a\n/usr/bin/a.real\npkg\n"), file("var/lib/dpkg/info/format", b"1\n"),
        file("var/lib/apt/lists/deb_Packages", b"Package: x\n"), file("var/cache/apt/pkgcache.bin", b"x" * 100),
        file("lib/apk/db/installed", b"P:musl\nF:usr/lib\nR:libm.so\n"),
        file("usr/bin/gcc-12", b"\x7fELFx", mode=0o755), symlink("usr/bin/gcc", "gcc-12"), file("usr/lib/libgcc.a", b"!<arch>\n"),
        file("usr/bin/python3", b"#!/bin/sh\n", mode=0o755), file("usr/local/bin/uv", b"\x7fELFuv", mode=0o755),
        file(f"{packages}/app/__init__.py", b"x = 1\n" * 2000), file(f"{packages}/other/__init__.py", b"x = 1\n" * 2000),
        file(f"{info}/METADATA", b"Metadata-Version: 2.1\nName: app\nVersion: 1.0\nLicense: MIT\nRequires-Dist: uv\n\nhello\n"),
        file(f"{info}/RECORD", b"app/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,12000\napp/lib.so,,\n"),
        file(f"{info}/INSTALLER", b"pip\n"), file(f"{info}/direct_url.json", b'{"url": "file:///src", "dir_info": {"editable": true}}'),
        file(f"{cache}/CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55"), file(f"{cache}/wheels-v1/x.whl", b"PK"),
        hard_link(f"{cache}/archive-v0/a.so", "usr/bin/gcc-12"), file("root/.cache/pip/http-v2/a/b", b"x"),
        file("opt/conda/pkgs/urls.txt", b"http://x/a.conda\n"), file("opt/conda/pkgs/cache/1.json", b"{}"),
        file("usr/share/x.pth", b"/usr/src\n"), file("usr/bin/run", b"#!/usr/bin/env -S uv run\n", mode=0o755),
        file(os_name(b"usr/\xff\xfe"), b"name"), file("usr/\x1b[2J", b"name"), file("usr/-rf", b"name"), file("usr/@x.so", b"name"),
        *(file(f"usr/lib/lib{letter}.so", data) for letter, data in zip("abcdefgh", libraries, strict=False)),
    ]  # fmt: skip


def hostile_image(number: int, seed: int, root: list[Spec], folder: Path) -> str:
    """Write image NUMBER of a seed into FOLDER, each fourth a layout and else an archive, and give what it is called."""
    folder.mkdir()
    if number % 4 == 3:
        return f"oci:{hostile_layout(f'{seed}:{number}', make_tar(*root), folder / 'layout')}"
    (folder / "image.tar").write_bytes(hostile_archive(f"{seed}:{number}", root))
    return f"docker-archive:{folder}/image.tar"


def os_name(raw: bytes) -> str:
    """Give a name that is not UTF-8 as tar members are decoded."""
    return raw.decode("utf-8", "surrogateescape")


def execution() -> Spec:
    """Give what a container of the image would run with, with all keys that slimmer reads."""
    return {
        "Env": ["PATH=/usr/bin", "HOME=/root", "LD_LIBRARY_PATH=/opt/lib:$ORIGIN", "UV_CACHE_DIR=/uv", "X"], "Cmd": ["run", "/tmp/left"],
        "Entrypoint": ["/usr/bin/python3", "-c", "x"], "WorkingDir": "/app", "User": "app", "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "Retries": 3}, "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}},
        "Shell": ["/bin/sh"], "StopSignal": "SIGTERM",
    }  # fmt: skip


def hostile_archive(seed: str, root: list[Spec]) -> bytes:
    """Give a `docker save` archive of ROOT, and of one of the layers that flattening is tested with, mutated somewhere."""
    random = Random(seed)  # noqa: S311 - what is wanted is that it can be repeated
    what = random.choice(("metadata", "metadata", "layer", "layer", "content", "content", "archive"))
    if what == "content":
        root = [_with_other_content(entry, random) if random.random() < 0.1 else entry for entry in root]
    case = random.choice(sorted(TAKEN))
    layers = [make_tar(*root), *(layer if isinstance(layer, bytes) else make_tar(*layer) for layer in TAKEN[case])]
    if what == "layer":
        index = random.randrange(len(layers))
        layers[index] = mutated_tar(layers[index], random)
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    config = config_of(layers, config=execution())
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": names}]).encode()
    if what == "metadata":
        if random.random() < 0.7:
            config = mutated_json(config, random)
        else:
            manifest = mutated_json(manifest, random)
    pairs = zip(names, layers, strict=True)
    made = make_tar(
        *(file(name, layer) for name, layer in pairs), file("c.json", config), file("manifest.json", manifest)
    )
    return mutated_tar(made, random) if what == "archive" else made


def hostile_layout(seed: str, layer: bytes, folder: Path) -> Path:
    """Write an OCI image layout of one layer, of whose index, manifest or configuration something is mutated."""
    random = Random(seed)  # noqa: S311 - the same
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    which = random.choice(("index", "manifest", "config"))

    def put(data: bytes, kind: str, name: str) -> Spec:
        data = mutated_json(data, random) if name == which else data
        (blobs / sha256(data).removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": kind, "digest": sha256(data), "size": len(data)}

    config = put(config_of([layer], config=execution()), "application/vnd.oci.image.config.v1+json", "config")
    blob = put(layer, "application/vnd.oci.image.layer.v1.tar", "layer")
    made = json.dumps({"schemaVersion": 2, "config": config, "layers": [blob]}).encode()
    manifest = put(made, "application/vnd.oci.image.manifest.v1+json", "manifest")
    annotations = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/app:1"}
    described = {**manifest, "annotations": annotations, "platform": {"os": "linux", "architecture": "amd64"}}
    index = json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()
    (folder / "index.json").write_bytes(mutated_json(index, random) if which == "index" else index)
    (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion": "1.0.0"}')
    return folder


def mutated_json(raw: bytes, random: Random) -> bytes:
    """Give a JSON text in which one to three values are others, or that is none any more."""
    value = json.loads(raw)
    for _ in range(random.choice((1, 1, 2, 3))):
        places = list(_places(value))
        holder, key = random.choice(places)
        holder[key] = deepcopy(random.choice(_NUMBERS))  # the next change may be one of its own
    text = json.dumps(value).encode()
    if random.random() < 0.3:
        inside = [start for start in range(len(text)) if text[start : start + 1] in b'[{"0123456789']
        at = random.choice(inside)
        text = text[:at] + random.choice(_RAW) + text[at + random.choice((0, 1)) :]
    return text


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        one = pending.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            found.append((one, key))
            pending.append(one[key])
    return found


def mutated_tar(data: bytes, random: Random) -> bytes:
    """Give a tar with one to three changes, in headers, whose sums are right again, or anywhere."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        blocks = [at for at in range(0, len(changed), 512) if changed[at + 257 : at + 262] == b"ustar"]
        if not blocks or random.random() < 0.15:
            if changed:
                changed[random.randrange(len(changed))] = random.randrange(256)
            continue
        at = random.choice(blocks)
        _change_header(changed, at, random)
        block = changed[at : at + 512]
        total = sum(block) - sum(block[148:156]) + 256
        changed[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(changed[: random.randrange(len(changed) + 1)]) if random.random() < 0.05 else bytes(changed)


def _change_header(data: bytearray, at: int, random: Random) -> None:
    fields = (
        (0, 100),
        (100, 8),
        (108, 8),
        (116, 8),
        (124, 12),
        (136, 12),
        (156, 1),
        (157, 100),
        (265, 32),
        (329, 8),
        (337, 8),
        (345, 155),
    )
    start, size = random.choice(fields)
    binary = b"\x80" + bytes(size - 1) if size > 1 else b"x"
    value = random.choice((
        bytes(size), b"\xff" * size, binary, b"7" * size, b"-1", b"../" * 40, b"/etc/x", b"\xff" * (size - 2) + struct.pack(">h", -512),
        b"\x80" + random.randbytes(size - 1), b"\x80" + bytes(max(size - 5, 0)) + random.randbytes(4), b".wh.x", b"%o" % random.randrange(1 << 33),
        random.randbytes(size), b"0" * (size - 1), b" ",
    ))  # fmt: skip
    if start == 156:
        value = bytes([random.choice(_TYPES)])
    if size == 0 or not value:
        return
    data[at + start : at + start + size] = value[:size].ljust(size, b"\0")
    if random.random() < 0.2:
        # A record of an extended header: what it says counts more than the block.
        body = data.find(b"=", at + 512, at + 4096)
        if body > 0:
            data[body + 1 : body + 2] = (
                random.choice((b"", b"-", b"\n", b"\0", b"9" * 20, b"\xff"))[:1] or data[body + 1 : body + 2]
            )


def _with_other_content(entry: Spec, random: Random) -> Spec:
    data = bytearray(entry.get("data", b""))
    if entry.get("type", b"0") != b"0" or not data:
        return entry
    for _ in range(random.choice((1, 2, 8))):
        at = random.randrange(len(data))
        change = random.choice(
            (
                bytes(8),
                b"\xff\xfe",
                b"\n\n",
                b"\r\n",
                b"=,\"'[]{}:#",
                b"/../../..",
                b"../" * 30,
                random.randbytes(5),
                b"9" * 5000,
                b"[" * 3000,
                b"*?[a-",
            )
        )
        data[at : at + random.choice((0, 1, 8))] = change
    return {**entry, "data": bytes(data)}
