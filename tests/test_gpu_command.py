from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from slimmer import SlimmerError, inspect_gpu
from slimmer.elf.gpu.fatbin import LTO_IR, PTX
from slimmer.gpu_inspection import GpuInspection, gpu_code
from slimmer.gputable import gpu_table
from slimmer.report import SourceFacts

from fatbins import container, cubins, entry, linked
from handmade import file, flattened, make_tar
from image_files import docker_archive

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from slimmer.rootfs import Rootfs

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

ARCHS = ("70", "80", "90", "120")


@pytest.fixture
def image(tmp_path: Path) -> str:
    """Give an image with an open library and one of NVIDIA's, both with code for four architectures."""
    library = linked(tmp_path, [cubins(*ARCHS, size=40000)]).read_bytes()
    layer = make_tar(file("lib/libtorch_cuda.so", library), file("lib/libcublas.so.12", library))
    (tmp_path / "image.tar").write_bytes(docker_archive([layer], "app:1"))
    return f"docker-archive:{tmp_path / 'image.tar'}"


def labels(archive: Path) -> dict[str, str]:
    """Give the labels of the image in an archive."""
    with tarfile.open(archive) as opened:
        manifest = json.load(opened.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(opened.extractfile(manifest[0]["Config"]))  # type: ignore[arg-type]
    found: dict[str, str] = config["config"]["Labels"]
    return found


def test_the_label_says_what_is_left(image: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """A result says for which GPUs it is, and a second run for the same ones changes no library."""
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    asked = ("--no-verify", "--gpu-arch", "sm_90", "--gpu-arch", "sm_80")
    done = slimmer("run", image, *asked, "-o", f"docker-archive:{first}")
    again = slimmer(
        "run", f"docker-archive:{first}", *asked, "-o", f"docker-archive:{second}", "--report", tmp_path / "r.json"
    )

    assert done.returncode == 0, done.stderr
    assert again.returncode == 0, again.stderr
    assert labels(first)["slimmer.gpu-arch"] == labels(second)["slimmer.gpu-arch"] == "sm_80,sm_90"
    assert "slimmer.gpu-driver" not in labels(first)
    assert json.loads((tmp_path / "r.json").read_text())["changes"] == []
    assert "licence" not in done.stderr.partition("rules")[0]


def test_no_label_where_nothing_was_asked(image: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """Off by default: all code stays, and nothing says otherwise."""
    done = slimmer("run", "-q", "--no-verify", image, "-o", f"docker-archive:{tmp_path / 'x.tar'}")

    assert done.returncode == 0, done.stderr
    assert not any("gpu" in name for name in labels(tmp_path / "x.tar"))


def test_the_clause_is_printed_once(image: str, slimmer: Slimmer) -> None:
    """Who changes NVIDIA's libraries reads what their licence says."""
    done = slimmer("run", image, "--dry-run", "--gpu-arch", "sm_90", "--include-proprietary")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("not modified in any way") == 1
    assert "2 files" in done.stderr


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--gpu-arch", "h100"), "a GPU architecture is sm_ and a number"),
        (("--gpu-arch", "sm_61"), "no library of this image has code for that GPU"),
        (("--also", "gpu_code"), "--gpu-arch sm_90"),
        (("--gpu-ptx", "some"), "some"),
    ],
)
def test_what_cannot_be_asked(asked: tuple[str, ...], words: str, image: str, slimmer: Slimmer) -> None:
    """One sentence and exit status 2."""
    done = slimmer("run", image, "--dry-run", *asked)

    assert done.returncode == 2
    assert words in done.stderr


def test_the_table(image: str, slimmer: Slimmer) -> None:
    """`slimmer inspect --gpu` needs no GPU and prints what `--gpu-arch` then saves, at most 80 columns wide."""
    done = slimmer("inspect", "--gpu", "-q", image)

    assert done.returncode == 0, done.stderr
    name, *lines = done.stdout.splitlines()
    assert name.startswith(f"{image} (")
    assert max(map(len, lines)) <= 80
    assert "libtorch_cuda.so" in done.stdout
    assert "libcublas.so.12 *" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("sm_90"))
    assert line.split() == ["sm_90", "120", "kB", "240", "kB"]


def test_the_facts_for_a_program(image: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """Bytes of each library for each architecture, and of each choice; a file has the same."""
    done = slimmer("inspect", "--gpu", "-q", "--json", image, "--report", tmp_path / "gpu.json")

    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "gpu.json").read_text("utf-8")
    found = json.loads(done.stdout)
    assert found["schema"] == "slimmer-gpu/1"
    assert found["source"]["reference"] == image
    library = next(each for each in found["libraries"] if each["path"] == "/lib/libcublas.so.12")
    assert library["proprietary"] is True
    assert library["kept"] is None
    assert set(library["architectures"]) == {f"sm_{arch}" for arch in ARCHS}
    assert library["gpu_size"] == sum(library["architectures"].values()) < library["size"]
    choice = next(each for each in found["choices"] if each["gpu_arch"] == "sm_90")
    asked = ("--dry-run", "--gpu-arch", "sm_90", "--only", "gpu_code", "--report", tmp_path / "r.json")
    assert slimmer("run", "-q", image, *asked).returncode == 0
    saved = json.loads((tmp_path / "r.json").read_text())["saved"]
    assert 0 <= choice["saves"] - saved < 4096  # whole pages of it are given back
    assert choice["saves_with_proprietary"] == 2 * choice["saves"]


def test_from_python(image: str, slimmer: Slimmer) -> None:
    """The same facts as of the command, and the same refusals."""
    facts = inspect_gpu(image).as_json()

    assert facts == json.loads(slimmer("inspect", "--gpu", "-q", "--json", image).stdout)
    assert {each["path"] for each in facts["libraries"]} == {"/lib/libtorch_cuda.so", "/lib/libcublas.so.12"}
    with pytest.raises(SlimmerError, match="linux/arm64"):
        inspect_gpu(image, platform="linux/arm64")


def test_a_page_is_of_an_inspection_only(image: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """One sentence and exit status 2, before the image is read."""
    done = slimmer("inspect", "--gpu", "-q", image, "--report", tmp_path / "gpu.html")

    assert done.returncode == 2
    assert "GPU code is written as .json" in done.stderr


def inspected(rootfs: Rootfs) -> GpuInspection:
    """Give what is said of a root."""
    return GpuInspection(SourceFacts("app:1", "sha256:1", 1, 1, 1, "linux/amd64"), gpu_code(rootfs))


def test_facts(tmp_path: Path) -> None:
    """Each kind of code counts where it belongs; a library that is not understood says why."""
    held = container(entry(2, "90a", 4096), entry(PTX, "90", 1024), entry(LTO_IR, "90", 512))
    library = linked(tmp_path, [held], parts=[cubins("80", size=2048)]).read_bytes()
    odd = linked(tmp_path, [cubins("90")], unreferenced=1, name="odd.so").read_bytes()
    hip = linked(tmp_path, [], more='.section .hip_fatbin,"a"\n.zero 4096', name="hip.so").read_bytes()
    found = inspected(flattened([file("a/x.so", library), file("odd.so", odd), file("hip.so", hip)]))

    first, *others = found.code.libraries
    assert first.by_architecture == {"sm_90a": 4160, "PTX": 1088, "other": 576, "parts": 2112}
    assert {each.path for each in others if each.reason is not None} == {"odd.so", "hip.so"}
    text = gpu_table(found)
    assert ".hip_fatbin" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "no library" in gpu_table(inspected(flattened([file("x", b"")])))


def test_a_table_with_every_column_is_not_wider(tmp_path: Path) -> None:
    """All generations, PTX, other code and parts, under a name that is too long."""
    cubin = [entry(2, arch, 4096) for arch in ("52", "75", "86", "90", "103", "121")]
    held = container(*cubin, entry(PTX, "90", 1024), entry(LTO_IR, "90", 512))
    library = linked(tmp_path, [held], parts=[cubins("80", size=2048)]).read_bytes()

    text = gpu_table(inspected(flattened([file(f"lib/libcudnn{'_engines' * 5}.so.9", library)])))

    heading = next(line for line in text.splitlines() if line.startswith("GPU code"))
    assert heading.split()[3:] == ["<7x", "7x", "8x", "9x", "10x", "12x", "PTX", "other", "parts", "all"]
    assert max(map(len, text.splitlines())) <= 80
    assert any(line.startswith("libcudnn_eng") and "… " in line for line in text.splitlines())


def test_debug_files_of_a_pruned_library(image: str, slimmer: Slimmer, tmp_path: Path) -> None:
    """What strip takes out of a library that was pruned before is saved once, by its build-id."""
    library = linked(tmp_path, [cubins(*ARCHS, size=40000)], "-g3", "-Wl,--build-id", name="libdebug.so").read_bytes()
    (tmp_path / "debug.tar").write_bytes(docker_archive([make_tar(file("lib/libdebug.so", library))], "app:1"))
    where = (f"docker-archive:{tmp_path / 'debug.tar'}", "-o", f"docker-archive:{tmp_path / 'x.tar'}")
    done = slimmer(
        "run",
        "--no-verify",
        *where,
        "--gpu-arch",
        "sm_90",
        "--debug-dir",
        tmp_path / "debug",
        "--report",
        tmp_path / "r.json",
    )

    assert done.returncode == 0, done.stderr
    assert [each["rule"] for each in json.loads((tmp_path / "r.json").read_text())["changes"]] == ["gpu_code", "strip"]
    assert len([path for path in (tmp_path / "debug").rglob("*") if path.is_file()]) == 1
