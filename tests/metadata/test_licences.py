from __future__ import annotations

import pytest

from slimmer.metadata.licences import proprietary

from handmade import Spec, file, flattened, hard_link, symlink

SITE = "usr/local/lib/python3.11/dist-packages"
NVIDIA = "Author: Nvidia CUDA Installer Team\nAuthor-email: compute_installer@nvidia.com\n"
CLASSIFIER = "Classifier: License :: Other/Proprietary License\n"
AGREEMENT = b"End User License Agreement\n---\n\nPreface\n\nthe use of NVIDIA software.\n"


def distribution(name: str, headers: str, licence: bytes = b"", library: str = "x/lib.so") -> list[Spec]:
    """Give a distribution of one library."""
    info = f"{SITE}/{name.replace('-', '_')}-1.dist-info"
    return [
        file(f"{SITE}/{library}", b"ELF"),
        file(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\n{headers}\nLicense: of the text\n".encode()),
        file(f"{info}/RECORD", f"{library},sha256=x,3\n".encode()),
        file(f"{info}/licenses/License.txt", licence),
    ]


@pytest.mark.parametrize(
    ("name", "headers", "licence", "is_proprietary"),
    [
        pytest.param("nvidia-cublas-cu12", f"{NVIDIA}License: NVIDIA Proprietary Software\n{CLASSIFIER}", AGREEMENT, True, id="cublas"),
        pytest.param("nvidia-cudnn-cu12", "License: LicenseRef-NVIDIA-Proprietary\n", b"", True, id="cudnn"),
        pytest.param("cuda-bindings", "License-Expression: LicenseRef-NVIDIA-SOFTWARE-LICENSE\n", b"", True, id="an expression"),
        pytest.param("tensorrt-libs", f"Author: NVIDIA Corporation\nLicense: Proprietary\n{CLASSIFIER}", b"", True, id="tensorrt"),
        pytest.param("nvidia-something-cu13", "", b"", True, id="NVIDIA's and silent"),
        pytest.param("nvidia-nvshmem-cu12", f"{NVIDIA}License: BSD-3-Clause\n{CLASSIFIER}", AGREEMENT, True, id="nvshmem: the text wins"),
        pytest.param("nvidia-nccl-cu12", f"{NVIDIA}License: NVIDIA Proprietary Software\n{CLASSIFIER}", AGREEMENT, False, id="nccl"),
        pytest.param("nvidia-nvtx-cu12", f"{NVIDIA}License: Apache 2.0\n{CLASSIFIER}", b"Apache License", False, id="nvtx, Apache"),
        pytest.param("nvidia-nvtx-cu12", f"{NVIDIA}License: NVIDIA Proprietary Software\n{CLASSIFIER}", b"", True, id="nvtx of old"),
        pytest.param("nvidia-dali-cuda120", "Author: NVIDIA Corporation\nLicense: Apache License 2.0\n", b"", False, id="dali"),
        pytest.param("nvidia-ml-py", f"{NVIDIA}Classifier: License :: OSI Approved :: BSD License\n", b"", False, id="an open classifier"),
        pytest.param("torch", "Author-email: PyTorch Team <packages@pytorch.org>\nLicense: BSD-3-Clause\n", AGREEMENT, False, id="torch quotes it"),
        pytest.param("other", f"Author: Somebody\n{CLASSIFIER}", b"", False, id="proprietary, not NVIDIA's"),
    ],
)  # fmt: skip
def test_distributions(name: str, headers: str, licence: bytes, *, is_proprietary: bool) -> None:
    """The distribution whose RECORD names the file decides: its licence text, what it declares, whose it is."""
    reason = proprietary(flattened(distribution(name, headers, licence)))(f"{SITE}/x/lib.so")

    expected = f"{name} is proprietary: its licence forbids changing it (--include-proprietary changes it all the same)"
    assert reason == (expected if is_proprietary else None)


def test_every_name_of_a_file_is_its_distributions() -> None:
    """uv's cache holds the same file under a name that no installed RECORD has."""
    entries = distribution("nvidia-cublas-cu12", "License: NVIDIA Proprietary Software\n")
    reason = proprietary(flattened([*entries, hard_link("cache/lib.so", f"{SITE}/x/lib.so"), file("cache/other.so")]))

    assert reason("cache/lib.so") == reason(f"{SITE}/x/lib.so") is not None
    assert reason("cache/other.so") is None
    assert reason("not/there") is None


@pytest.mark.parametrize(
    ("path", "is_proprietary"),
    [
        (f"{SITE}/triton/backends/nvidia/bin/ptxas", True),
        (f"{SITE}/triton/backends/nvidia/lib/cupti/libcheckpoint.so", True),
        (f"{SITE}/triton/_C/libtriton.so", False),
        (f"{SITE}/torch/lib/libcudart-9f7f2a1e.so.12.8.90", True),
        (f"{SITE}/torch/lib/libcudnn_adv.so.9", True),
        (f"{SITE}/torch/lib/libtorch_cuda.so", False),
        (f"{SITE}/torch/lib/libc10_cuda.so", False),
        (f"{SITE}/pkg/libcuda_helpers.so", False),
        ("opt/conda/lib/libcublasLt.so.12.8.4.1", True),
        ("opt/conda/lib/libnvrtc-builtins.alt.so.12.8", True),
        ("opt/conda/lib/libnccl.so.2.27.5", False),
        ("usr/lib/x86_64-linux-gnu/libcuda.so.550", True),
        ("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", True),
        ("usr/lib/x86_64-linux-gnu/libnvidia-container.so.1", False),
        ("usr/lib/x86_64-linux-gnu/libcurl.so.4", False),
        ("usr/lib/x86_64-linux-gnu/libcups.so.2", False),
        ("usr/local/cuda-12.8/targets/x86_64-linux/lib/libanything.so", True),
        ("usr/local/cuda-12.8/lib/libnccl.so.2", False),
        ("usr/local/lib/libnvcomp_mine.so", False),
    ],
)
def test_files_without_a_package(path: str, *, is_proprietary: bool) -> None:
    """What came by an archive, by conda or inside another wheel is known by its name or its place."""
    reason = proprietary(flattened([file(path)]))(path)

    assert (reason is not None) == is_proprietary
    if reason is not None:
        assert reason.startswith(f"{path.rpartition('/')[2]} is part of NVIDIA's CUDA software: its licence forbids")


@pytest.mark.parametrize(
    ("package", "is_proprietary"),
    [
        ("cuda-cupti-12-8", True),
        ("libcudnn9-cuda-12", True),
        ("libcublas-12-8", True),
        ("libcusparselt0", True),
        ("libnvinfer10", True),
        ("libnvidia-compute-550", True),
        ("libnccl2", False),
        ("libnvidia-container1", False),
        ("libcurl4", False),
        ("libcudf", False),
        ("libcups2", False),
    ],
)
def test_debian_packages(package: str, *, is_proprietary: bool) -> None:
    """A package's list says which files are its own, through a merged /usr too."""
    listing = b"/.\n/lib\n/lib/x.so\n/lib/gone.so\n"
    entries = [
        symlink("lib", "usr/lib"),
        file("usr/lib/x.so"),
        file(f"var/lib/dpkg/info/{package}:amd64.list", listing),
    ]
    reason = proprietary(flattened(entries))("usr/lib/x.so")

    assert (reason is not None and reason.startswith(f"{package} is proprietary: ")) == is_proprietary
