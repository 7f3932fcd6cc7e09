"""Archives and layouts that are damaged, hostile or not what was meant: exit 4, one sentence, nothing written."""

from __future__ import annotations

import gzip
import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from handmade import file, make_tar, symlink
from image_files import INDEX, MANIFEST, Layout, config_of, docker_archive, named, sha256
from refused_cases import REFUSED

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

LAYER = make_tar(file("a", b"1" * 5000))


def archive(manifest: object, *more: dict[str, object]) -> bytes:
    """Give an archive with this manifest.json and a good configuration and layer."""
    return make_tar(
        file("c.json", config_of([LAYER])),
        file("l.tar", LAYER),
        file("manifest.json", manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()),
        *more,
    )


GOOD = {"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l.tar"]}
OTHER = make_tar(file("c.json", config_of([LAYER])), file("l.tar", make_tar(file("b", b"2"))), file("manifest.json", json.dumps([GOOD]).encode()))  # fmt: skip
NO_TAR = make_tar(file("c.json", config_of([b"no tar at all" * 100])), file("l.tar", b"no tar at all" * 100), file("manifest.json", json.dumps([GOOD]).encode()))  # fmt: skip
CLIMBER = make_tar(file("../../evil", b"1"))

ARCHIVES: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "empty file"),
    "not a tar": (b"what is this" * 1000, "cut short or damaged"),
    "gzip that is cut": (gzip.compress(docker_archive([LAYER], "app:1"))[:-9], "cut short"),
    "cut inside a layer": (docker_archive([LAYER], "app:1")[:3000], "0/layer.tar"),
    "without manifest": (make_tar(file("a", b"1")), "has no manifest.json"),
    "manifest is no JSON": (archive(b"{nope"), "manifest.json"),
    "manifest is a number": (archive(b"7"), "does not describe images"),
    "manifest describes nothing": (archive([{}]), "does not describe images"),
    "no image": (archive([]), "holds 0 images"),
    "two images": (archive([GOOD, {**GOOD, "RepoTags": ["app:2"]}]), "holds 2 images; there are: app:1, app:2; name one"),
    "configuration missing": (archive([{**GOOD, "Config": "gone.json"}]), "has no gone.json"),
    "layer missing": (archive([{**GOOD, "Layers": ["gone.tar"]}]), "lacks its layer gone.tar"),
    "layer leads in a circle": (archive([{**GOOD, "Layers": ["x"]}], symlink("x", "y"), symlink("y", "x")), "lacks its layer x"),
    "layers do not add up": (archive([{**GOOD, "Layers": ["l.tar", "l.tar"]}]), "has 2 layers where its configuration has 1"),
    "another layer than the configuration's": (OTHER, f"l.tar of .* has the digest sha256:[0-9a-f]+ where {sha256(LAYER)} is asked for"),
    "layer that is no tar": (NO_TAR, "is not a tar that can be read"),
    "layer that climbs out": (docker_archive([CLIMBER], "app:1"), r"holds '../../evil', which climbs out of the root"),
    "another system's": (docker_archive([LAYER], "app:1", os="windows"), "is an image for windows"),
}  # fmt: skip


def refused(slimmer: Slimmer, source: str, tmp_path: Path, *more: str) -> str:
    """Give the sentence with which a source is refused; nothing must have been written."""
    (tmp_path / "out").mkdir()

    done = slimmer("run", "-q", "--no-verify", source, "-o", f"docker-archive:{tmp_path}/out/x.tar", *more)

    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
    (sentence,) = done.stderr.splitlines()
    return sentence


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_bad_archive_is_exit_4(name: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """The sentence names what is wrong in it."""
    data, words = ARCHIVES[name]
    (tmp_path / "image.tar").write_bytes(data)

    assert re.search(words, refused(slimmer, f"docker-archive:{tmp_path}/image.tar", tmp_path))


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_is_refused_is_exit_4(name: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """Every layer that slimmer does not take, out of an archive: the sentence has the entry's name."""
    case = REFUSED[name]
    layers = [layer if isinstance(layer, bytes) else make_tar(*layer) for layer in case.layers]
    (tmp_path / "image.tar").write_bytes(docker_archive(layers, "app:1"))

    sentence = refused(slimmer, f"docker-archive:{tmp_path}/image.tar", tmp_path)

    assert case.slimmer.removeprefix("layer 0 ") in sentence  # a layer of an archive is named by its digest


def layouts() -> dict[str, tuple[Layout, str]]:
    """Give layouts that are wrong, each with what is said of it."""
    made: dict[str, tuple[Layout, str]] = {}

    def add(name: str, words: str, layout: Layout | None = None) -> Layout:
        layout = layout or named([LAYER])
        made[name] = layout, words
        return layout

    add("empty index", "holds no image").manifests.clear()
    layout = add("manifest missing", "holds no image")
    del layout.blobs[layout.manifests[0]["digest"]]
    layout = add("manifest changed", "asked for; it is damaged")
    layout.blobs[layout.manifests[0]["digest"]] += b" "
    layout = add("layer changed", "has the digest")
    digest = json.loads(layout.blobs[layout.manifests[0]["digest"]])["layers"][0]["digest"]
    layout.blobs[digest] = gzip.compress(make_tar(file("b", b"2")))
    layout = add("layer cut", "cannot be unpacked: the gzip stream is cut short")
    digest = json.loads(layout.blobs[layout.manifests[0]["digest"]])["layers"][0]["digest"]
    layout.blobs[digest] = layout.blobs[digest][:-20]
    layout = add("layer missing", "lacks its layer blobs/sha256/")
    del layout.blobs[json.loads(layout.blobs[layout.manifests[0]["digest"]])["layers"][0]["digest"]]
    add("digest that climbs out", "which is not one of sha256").manifests[0]["digest"] = "sha256:../../etc/passwd"
    add("digest of another kind", "which is not one of sha256").manifests[0]["digest"] = "md5:" + "0" * 32
    layout = add("manifest without layers", "lists no layers", Layout())
    layout.add(layout.blob(b'{"config": {}}', MANIFEST))
    layout = add("index without manifests", "lists no manifests", Layout())
    layout.add(layout.blob(b"[]", INDEX))
    layout = add("indexes without end", "nested more than", Layout())
    descriptor = layout.image([LAYER])
    for _ in range(20):
        descriptor = layout.index([descriptor])
    layout.add(descriptor)
    layout = add("several images", r"holds several images; name one behind a colon; there are: 1, 2", Layout())
    for tag in "12":
        layout.add(layout.image([LAYER], author=tag), **{"org.opencontainers.image.ref.name": tag})
    return made


@pytest.mark.parametrize("name", layouts())
def test_a_bad_layout_is_exit_4(name: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """The sentence names what is wrong in it."""
    layout, words = layouts()[name]

    assert re.search(words, refused(slimmer, f"oci:{layout.in_directory(tmp_path / 'layout')}", tmp_path))


def test_what_is_no_layout_is_exit_4(slimmer: Slimmer, tmp_path: Path) -> None:
    """A directory that is something else, and none at all."""
    (tmp_path / "other").mkdir()

    assert "is not an OCI image layout" in refused(slimmer, f"oci:{tmp_path}/other", tmp_path)
    (tmp_path / "out").rmdir()
    assert "there is no directory" in refused(slimmer, f"oci:{tmp_path}/none", tmp_path)


def test_a_layout_of_fifos_is_exit_4(slimmer: Slimmer, tmp_path: Path) -> None:
    """What is opened for reading and never written would wait for ever."""
    layout = named([LAYER]).in_directory(tmp_path / "layout")
    (layout / "index.json").unlink()
    os.mkfifo(layout / "index.json")

    assert "index.json is no file" in refused(slimmer, f"oci:{layout}", tmp_path)


def several_platforms(shape: str) -> Layout:
    """Give a layout of one image for two platforms, as buildx writes it, with an attestation beside."""
    layout = Layout()
    images = []
    for architecture, variant in (("amd64", ""), ("arm64", "v8")):
        platform = {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}
        images.append({**layout.image([LAYER], **platform), "platform": platform})
    attestation = {
        **layout.blob(b"{}", MANIFEST),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    if shape == "nested":
        layout.add(layout.index([*images, attestation]), **{"org.opencontainers.image.ref.name": "1"})
    else:
        for image in [*images, attestation]:
            layout.add(image)
    return layout


@pytest.mark.parametrize("shape", ["nested", "flat"])
def test_the_platform_is_chosen(shape: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """By --platform, else the engine's; one that is not there is exit 4 with those that are."""
    source = f"oci:{several_platforms(shape).in_directory(tmp_path / 'layout')}"

    for asked, found in ((["--platform", "linux/arm64"], "linux/arm64/v8"), (["--platform", "linux/arm64/v8"], "linux/arm64/v8"), ([], "linux/amd64")):  # fmt: skip
        done = slimmer("run", "--dry-run", source, *asked, "--report", tmp_path / "r.json")
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "r.json").read_bytes())["source"]["platform"] == found
    sentence = refused(slimmer, source, tmp_path, "--platform", "linux/s390x")
    assert "has no image for linux/s390x: linux/amd64, linux/arm64/v8; choose one with --platform" in sentence
    assert slimmer("run", source, "--platform", "anything").returncode == 2


def test_a_target_that_cannot_be_is_told_before_the_work(slimmer: Slimmer, tmp_path: Path) -> None:
    """Each is one sentence with its exit code; files that were there are as they were."""
    (tmp_path / "image.tar").write_bytes(docker_archive([LAYER], None))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_bytes(b"mine")
    source = f"docker-archive:{tmp_path}/image.tar"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    cases = [
        (f"docker-archive:{tmp_path}/image.tar", 2, "never overwrites"),
        (f"docker-archive:{tmp_path}/none/x.tar", 5, "there is no directory"),
        (f"docker-archive:{tmp_path}/full", 5, "is not a file"),
        (f"oci:{tmp_path}/full", 5, "is not an OCI image layout"),
        (f"oci:{tmp_path}/image.tar", 2, "is not a directory"),
        ("result.tar", 2, "does not say what to write"),
        ("docker-archive:", 2, "does not name a file"),
        ("docker-daemon:", 2, "has no name that -slim could be added to"),
    ]

    for target, status, words in cases:
        done = slimmer("run", "-q", "--no-verify", source, "-o", target)
        assert (done.returncode, done.stdout) == (status, ""), (target, done.stderr)
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
