"""Images as files, written by the specifications' words and not by slimmer."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

from handmade import Spec, file, make_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def sha256(data: bytes) -> str:
    """Give the digest of DATA."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def zstd(data: bytes) -> bytes:
    """Give DATA as the zstd program packs it."""
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


PACKED: dict[str, Callable[[bytes], bytes]] = {"": lambda data: data, "+gzip": gzip.compress, "+zstd": zstd}


def config_of(layers: list[bytes], **more: Any) -> bytes:
    """Give a configuration of LAYERS, with keys that no specification names."""
    described = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-02-29T12:00:00Z",
        "config": {"Env": ["PATH=/bin", 'Q="$x"'], "Healthcheck": {"Test": ["NONE"], "Later": 1}},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
        "history": [{"created_by": f"layer {number}"} for number in range(len(layers))],
        "x.unknown": {"b": 1.50, "a": None},
        **more,
    }
    return json.dumps(described, indent=1).encode()


def docker_archive(layers: list[bytes], tag: str | None, **more: Any) -> bytes:
    """Give what engines before version 25 save."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "c.json", "RepoTags": [tag] if tag else None, "Layers": names}]
    pairs = zip(names, layers, strict=True)
    return make_tar(
        *(file(name, layer) for name, layer in pairs),
        file("c.json", config_of(layers, **more)),
        file("manifest.json", json.dumps(manifest).encode()),
    )


class Layout:
    """An OCI image layout that is being written."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: list[Spec] = []

    def blob(self, data: bytes, kind: str) -> Spec:
        """Put a blob and give its descriptor."""
        self.blobs[sha256(data)] = data
        return {"mediaType": kind, "digest": sha256(data), "size": len(data)}

    def image(self, layers: list[bytes], packing: str = "+gzip", **more: Any) -> Spec:
        """Put an image and give the descriptor of its manifest."""
        manifest = {
            "schemaVersion": 2,
            "config": self.blob(config_of(layers, **more), "application/vnd.oci.image.config.v1+json"),
            "layers": [self.blob(PACKED[packing](layer), LAYER + packing) for layer in layers],
        }
        return self.blob(json.dumps(manifest).encode(), MANIFEST)

    def add(self, descriptor: Spec, **annotations: str) -> None:
        """List a manifest in the index."""
        self.manifests.append({**descriptor, "annotations": annotations} if annotations else descriptor)

    def index(self, descriptors: list[Spec]) -> Spec:
        """Put an index of manifests as a blob and give its descriptor."""
        return self.blob(json.dumps({"schemaVersion": 2, "manifests": descriptors}).encode(), INDEX)

    def files(self) -> dict[str, bytes]:
        """Give every file of the layout."""
        blobs = {f"blobs/{digest.replace(':', '/')}": data for digest, data in self.blobs.items()}
        index = {"schemaVersion": 2, "manifests": self.manifests}
        return {**blobs, "oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode()}

    def in_directory(self, directory: Path) -> Path:
        """Write it as a directory."""
        for name, data in self.files().items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(data)
        return directory

    def as_archive(self, *more: Spec) -> bytes:
        """Give it as an archive, with MORE members."""
        return make_tar(*(file(name, data) for name, data in self.files().items()), *more)


def named(layers: list[bytes], packing: str = "+gzip", **more: Any) -> Layout:
    """Give a layout of one image, whose tag is `1` and whose name `app:1`."""
    layout = Layout()
    names = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/app:1"}
    layout.add(layout.image(layers, packing, **more), **names)
    return layout


def as_engines_since_25_save(layers: list[bytes], packing: str) -> bytes:
    """Give an archive that is an OCI layout with a manifest.json beside."""
    layout = named(layers, packing)
    image = json.loads(layout.blobs[layout.manifests[0]["digest"]])
    paths = [f"blobs/{blob['digest'].replace(':', '/')}" for blob in (image["config"], *image["layers"])]
    manifest = [{"Config": paths[0], "RepoTags": ["app:1"], "Layers": paths[1:]}]
    return layout.as_archive(file("manifest.json", json.dumps(manifest).encode()))
