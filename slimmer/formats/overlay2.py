"""Images read in place, where an engine on this machine keeps them with its overlay2 graph driver: nothing is copied.

    DockerRootDir/image/overlay2/imagedb/content/sha256/ID          the raw configuration
    DockerRootDir/image/overlay2/layerdb/sha256/CHAIN ID/diff       the layer's diff_id
                                                        /cache-id   the name of its directory
                                                        /tar-split.json.gz   its tar, less the files' contents
    DockerRootDir/overlay2/CACHE ID/diff                            its files

Each layer is given as the tar that `docker save` would send, so whatever is read from it is the same both ways.

Checked: the configuration's digest is the image's ID; the engine notes for each chain of layers the diff_id that the
configuration gives; every file that is read is a regular one, within the layer's directory and of the size that the
tar says; and where a layer takes a path twice, that each file lies where it is read (`layer_tree.misplaced`). Not
checked: that the bytes of a file are still those that were unpacked. Whoever can write there is root on the engine's
machine; and a layer's digest would take reading all of it, the CRC64 (ISO polynomial) that tar-split notes of each file
a table walk in Python over every byte. `docker save` checks the CRC64.

All is found by digests. An engine behind a socket that leads elsewhere (a virtual machine, a tunnel) is no danger: what
it and this machine have under the same digest is the same.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimmer.errors import SourceError
from slimmer.formats.diff_directory import OPEN_FILES, DiffDirectory, OpenFiles, StoredFile
from slimmer.formats.tar_split import assemble
from slimmer.image import Config, Image, Layer, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slimmer.content import Content

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CACHE_ID = re.compile(r"[0-9a-z]+")
_CAP_DAC_READ_SEARCH = 2  # capabilities(7): read every file and search every directory, whoever owns it
_CAP_DAC_OVERRIDE = 1


@dataclass(frozen=True, slots=True)
class NotInPlace:
    """Why an image cannot be read in place: a clause that follows "because"."""

    reason: str


def local_root(info: Mapping[str, Any], docker_host: str) -> Path | NotInPlace:
    """Give the directory of the engine that gave INFO and answers at DOCKER_HOST; or why its images are out of reach.

    Who may not read every file there, whoever owns it, would find that out in the middle of the work: such a user is
    told here.
    """
    if docker_host and not docker_host.startswith("unix://"):
        return NotInPlace(f"the engine at {docker_host} need not be on this machine")
    if (driver := info.get("Driver")) != "overlay2":
        return NotInPlace(f"the engine keeps images with {driver}, not with overlay2")
    root = Path(str(info.get("DockerRootDir") or "/nonexistent"))
    if not _reads_everything():
        return NotInPlace(f"this user may not read all files in {root}")
    try:
        is_there = (root / "image/overlay2/layerdb/sha256").is_dir()
    except OSError as error:
        return NotInPlace(f"{error.filename} cannot be read: {error.strerror}")
    return root if is_there else NotInPlace(f"the engine's directory {root} is not on this machine")


def has(root: Path, image_id: str) -> bool:
    """Say whether an engine that keeps its images in ROOT has this one."""
    return bool(_DIGEST.fullmatch(image_id)) and _raw_config(root, image_id).is_file()


def read(root: Path, image_id: str, reference: str) -> Image | NotInPlace:
    """Give an image by its ID, out of the engine's directory ROOT; or why it cannot be read there.

    No file stays open but the few that were read last. When the engine removes the image while it is read, reading
    what is gone raises SourceError.
    """
    if not _DIGEST.fullmatch(image_id):
        return NotInPlace(f"{image_id!r} is no digest")
    path = _raw_config(root, image_id)
    try:
        raw = path.read_bytes()
    except OSError as error:
        return NotInPlace(f"{path} cannot be read: {error.strerror}")
    if digest(raw) != image_id:
        return NotInPlace(f"{path} is not what its name says")
    config = Config.parse(raw, reference)
    found = layers(root, config.diff_ids)
    return found if isinstance(found, NotInPlace) else Image(reference, config, found)


def _raw_config(root: Path, image_id: str) -> Path:
    return root / "image/overlay2/imagedb/content" / image_id.replace(":", "/")


def layers(root: Path, diff_ids: Sequence[str]) -> tuple[Layer, ...] | NotInPlace:
    """Give an image's layers, oldest first, out of the engine's directory ROOT; or why they cannot be read there."""
    if not all(_DIGEST.fullmatch(diff_id) for diff_id in diff_ids):
        return NotInPlace("a layer's name is no digest")
    files, directories = OpenFiles(OPEN_FILES), OpenFiles(OPEN_FILES)
    found = []
    for diff_id, chain_id in zip(diff_ids, chain_ids(diff_ids), strict=True):
        try:
            found.append(Layer(diff_id, _content(root, diff_id, chain_id, files, directories)))
        except (OSError, EOFError, zlib.error) as error:  # gzip raises the last two for a file that is cut
            return NotInPlace(f"what the engine keeps of layer {diff_id} cannot be read: {error}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return NotInPlace(f"what the engine keeps of layer {diff_id} is no record of it: {error}")
        except SourceError as error:
            return NotInPlace(str(error))
    return tuple(found)


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Give the name of each layer on top of those before it (OCI image specification, config.md, Layer ChainID)."""
    return list(accumulate(diff_ids, lambda chain, diff_id: digest(f"{chain} {diff_id}".encode())))


def _content(root: Path, diff_id: str, chain_id: str, files: OpenFiles, directories: OpenFiles) -> Content:
    kept = root / "image/overlay2/layerdb" / chain_id.replace(":", "/")
    if (noted := (kept / "diff").read_text("utf-8")) != diff_id:
        raise ValueError(f"{kept} is noted as {noted!r}")
    cache_id = (kept / "cache-id").read_text("utf-8")
    if not _CACHE_ID.fullmatch(cache_id):
        raise ValueError(f"{kept} is kept under {cache_id!r}")
    directory = DiffDirectory(root / "overlay2" / cache_id / "diff", diff_id, files, directories)
    with gzip.open(kept / "tar-split.json.gz") as record:
        content = assemble(record.read, directory.shelved)
    # What forbids one file of a layer (SELinux, AppArmor) forbids the others too, and is better known now than later.
    first = next((piece.blob for piece in content if isinstance(piece.blob, StoredFile)), None)
    if first is not None:
        first.probe()
    return content


def _reads_everything() -> bool:
    status = Path("/proc/self/status").read_text("utf-8", "replace")
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return effective is not None and bool(int(effective[1], 16) & (1 << _CAP_DAC_READ_SEARCH | 1 << _CAP_DAC_OVERRIDE))
