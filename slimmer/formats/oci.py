"""The OCI image layout (image-layout.md), read: from an index down to the one manifest that is meant.

oci-layout                 {"imageLayoutVersion": "1.0.0"}
index.json                 descriptors of manifests, and of indexes of manifests for several platforms
blobs/sha256/<hex>         everything else, by its digest
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slimmer.errors import SourceError
from slimmer.formats.store import json_of, layer, metadata
from slimmer.image import Config, Image
from slimmer.platforms import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from slimmer.formats.spool import Spool
    from slimmer.formats.store import Store
    from slimmer.image import Digest
    from slimmer.progress import Stage

INDEX = "index.json"
LAYOUT = "oci-layout"
REF_NAME = "org.opencontainers.image.ref.name"
"""Annotation of a descriptor: the tag (annotations.md)."""
IMAGE_NAME = "io.containerd.image.name"
"""Annotation of a descriptor: the whole name, as containerd and docker write and read it."""
_INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
_MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_DEPTH = 8
_MAX_MANIFESTS = 1000


@dataclass(frozen=True, slots=True)
class Described:
    """An image of a layout: the manifest's digest, its platform where that is said, and the names it is found by."""

    digest: Digest
    platform: Platform | None
    names: tuple[str, ...] = field(default=())

    def is_named(self, name: str) -> bool:
        """Say whether NAME means this image: its whole name, or that less what docker leaves out, or the tag."""
        return any(name == own or own.endswith((f":{name}", f"/{name}")) for own in self.names)


def described(store: Store) -> tuple[Described, ...]:
    """Give every image of a layout, those of nested indexes too; raise SourceError when the layout is damaged.

    Attestations, which BuildKit puts beside images as manifests of an unknown platform, are none.
    """
    if store.find(LAYOUT) is None:
        raise SourceError(f"{store.reference} is not an OCI image layout: it has no file {LAYOUT}")
    return tuple(_images(store, json_of(store, INDEX), (), _MAX_DEPTH))


def _images(store: Store, index: Any, names: tuple[str, ...], depth: int) -> Iterator[Described]:  # noqa: ANN401 - any JSON value
    if not depth:
        raise SourceError(f"the indexes of {store.reference} are nested more than {_MAX_DEPTH} deep")
    listed = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(listed, list) or len(listed) > _MAX_MANIFESTS:
        raise SourceError(f"an index of {store.reference} lists no manifests")
    for descriptor in listed:
        digest = _digest(descriptor, store)
        kind, annotations = descriptor.get("mediaType"), descriptor.get("annotations") or {}
        if not isinstance(kind, str) or not isinstance(annotations, dict):
            raise SourceError(
                f"{store.reference} has a descriptor of {digest} that says of what kind it is in no words"
            )
        own = names + tuple(str(annotations[key]) for key in (REF_NAME, IMAGE_NAME) if key in annotations)
        if annotations.get("vnd.docker.reference.type") == "attestation-manifest":
            continue
        if kind in _INDEXES:
            if store.find(_path(digest)) is None and names:
                continue  # an image store keeps what it pulled of an index, which need not be all of it
            yield from _images(store, json_of(store, _path(digest), digest), own, depth - 1)
        elif kind in _MANIFESTS and store.find(_path(digest)) is not None:
            platform = descriptor.get("platform")
            yield Described(digest, Platform.of(platform) if isinstance(platform, dict) else None, own)


def choose(store: Store, name: str | None, wanted: Platform | None, default: Callable[[], Platform]) -> Described:
    """Give the image of a layout that NAME and the WANTED platform mean.

    An image that is alone is taken, whatever its platform, unless another was asked for. Among several the one for
    WANTED or else the DEFAULT platform is meant. Raises SourceError, with what there is, when none or several are.
    """
    images = described(store)
    found = [image for image in images if name is None or image.is_named(name)]
    names = ", ".join(sorted({one for image in images for one in image.names})) or "none with a name"
    if not found:
        what = f"image named {name}" if name is not None else "image"
        raise SourceError(f"{store.reference} holds no {what}; there are: {names}")
    if len({image.names for image in found}) > 1:
        raise SourceError(f"{store.reference} holds several images; name one behind a colon; there are: {names}")
    distinct = list({image.digest: image for image in found}.values())
    if len(distinct) == 1 and wanted is None:
        return distinct[0]
    platforms = [(platform_of(store, image), image) for image in distinct]
    wanted = wanted or default()
    fitting = [pair for pair in platforms if pair[0].fits(wanted)]
    if len(fitting) != 1:
        there_are = ", ".join(sorted(str(platform) for platform, _ in fitting or platforms))
        how_many = "several images" if fitting else "no image"
        raise SourceError(f"{store.reference} has {how_many} for {wanted}: {there_are}; choose one with --platform")
    return fitting[0][1]


def length(store: Store, digest: Digest) -> int:
    """Give how many bytes the layers of a manifest take as they are stored, where it says that in numbers."""
    sizes = (descriptor.get("size") for descriptor in _layers(store, digest)[1])
    return sum(size for size in sizes if isinstance(size, int))


def _layers(store: Store, digest: Digest) -> tuple[Digest, list[Mapping[str, Any]]]:
    """Give the digest of an image's configuration and the descriptors of its layers."""
    manifest = json_of(store, _path(digest), digest)
    listed = manifest.get("layers") if isinstance(manifest, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise SourceError(f"manifest {digest} of {store.reference} does not describe an image: it lists no layers")
    return _digest(manifest.get("config"), store), listed


def read(store: Store, digest: Digest, spool: Spool, stage: Stage) -> Image:
    """Give the image of a manifest, every digest that it names compared; STAGE hears of the bytes of layers.

    Raises SourceError for whatever is missing, damaged or does not agree.
    """
    config_digest, layers = _layers(store, digest)
    config = Config.parse(metadata(store, _path(config_digest), config_digest), store.reference)
    if len(layers) != len(config.diff_ids):
        raise SourceError(
            f"manifest {digest} of {store.reference} has {len(layers)} layers where its configuration has "
            f"{len(config.diff_ids)}; it is damaged"
        )
    found = []
    for descriptor, diff_id in zip(layers, config.diff_ids, strict=True):
        blob = _digest(descriptor, store)
        found.append(layer(store, _path(blob), diff_id, spool, stage, blob))
    return Image(store.reference, config, tuple(found))


def platform_of(store: Store, image: Described) -> Platform:
    """Give the platform of an image: what its descriptor says, else its configuration."""
    if image.platform is not None:
        return image.platform
    manifest = json_of(store, _path(image.digest), image.digest)
    digest = _digest(manifest.get("config") if isinstance(manifest, dict) else None, store)
    config = json_of(store, _path(digest), digest)
    return Platform.of(config if isinstance(config, dict) else {})


def _digest(descriptor: Mapping[str, Any] | Any, store: Store) -> Digest:  # noqa: ANN401 - any JSON value
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        # A path is made of it, so nothing else is taken for one.
        raise SourceError(f"{store.reference} has a descriptor with the digest {digest!r}, which is not one of sha256")
    return digest


def _path(digest: Digest) -> str:
    return f"blobs/{digest.replace(':', '/')}"
