"""PyTorch on a GPU, with NVIDIA's libraries, before and after: the same results to the bit, or to rounding."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.elf.gpu.choice import Wanted

import torch_sites
from gpus import gpu

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = Path(__file__).parent / "operations.py"
pytestmark = [
    pytest.mark.skipif(gpu() is None, reason="there is no NVIDIA GPU on this machine; tests/gpu/README.md"),
    pytest.mark.skipif(not torch_sites.installed(), reason="there is no CUDA build of PyTorch; tests/gpu/README.md"),
    pytest.mark.timeout(1800),
]
Results = dict[str, Any]


def run(results: Path, site: Path | None, loading: str) -> Results:
    """Give what PyTorch computes, of the installed packages or of a site's, and the libraries it loaded."""
    environment = {**os.environ, "CUDA_MODULE_LOADING": loading, "CUDA_CACHE_DISABLE": "1"}
    environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    if site is not None:
        environment["PYTHONPATH"] = f"{site}:{environment.get('PYTHONPATH', '')}"
    command: list[str | Path] = [sys.executable, "-P", OPERATIONS, "cuda", results]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found: Results = import_module("torch").load(results)
    return found


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Give what the installed PyTorch computes."""
    return run(tmp_path_factory.mktemp("original") / "results.pt", None, "LAZY")


@pytest.fixture(
    scope="module",
    params=[("pruned", False), ("packed", True), ("both", True)],
    ids=["this GPU alone", "packed with zstd", "this GPU alone, packed with zstd"],
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """Give a copy of the packages with less GPU code, and the paths of the libraries that are other ones."""
    name, recompress = request.param
    wanted = None if name == "packed" else Wanted(frozenset({gpu() or 0}))
    folder = tmp_path_factory.mktemp(name)
    done = torch_sites.made(torch_sites.installed(), folder, wanted, recompress=recompress)
    yield folder, [str(folder / library) for library, word in done.items() if not word.startswith("kept")]
    shutil.rmtree(folder)


@pytest.mark.parametrize("loading", ["EAGER", "LAZY"])
def test_pytorch_computes_the_same(
    loading: str, site: tuple[Path, list[str]], original: Results, tmp_path: Path
) -> None:
    """Every operation, NCCL with one process and a Triton kernel among them, from the libraries that were changed."""
    close = import_module("torch").testing.assert_close
    folder, changed = site
    now = run(tmp_path / "results.pt", folder, loading)
    loaded = [library for library in now["libraries"] if library in changed]

    assert any(library.endswith("libtorch_cuda.so") for library in loaded), (loaded, changed)
    assert now["results"].keys() == original["results"].keys()
    for name, was in original["results"].items():
        close(now["results"][name], was, msg=lambda text, name=name: f"{name}: {text}")
