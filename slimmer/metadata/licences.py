"""Which files a licence forbids to change: NVIDIA's, unless they are open.

NVIDIA's agreements for CUDA and its libraries allow redistribution and forbid modification ("you may not ... modify ...
any portion of the SDK"). What a distribution's metadata says is not always what its licence text says: nvidia-nvshmem
declares BSD-3-Clause and ships the CUDA agreement. The text wins; NCCL is BSD whatever its metadata says.
"""

from __future__ import annotations

import re
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING

from slimmer.inode import Kind
from slimmer.metadata.record_rows import files_of, locator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimmer.inode import Inode
    from slimmer.rootfs import Rootfs

_METADATA = ".dist-info/METADATA"
_MAX_HEADERS = 256 << 10
_MAX_LICENCE = 8 << 10
_LICENCE_FILE = re.compile(r".*(licen[cs]e|eula)[^/]*", re.IGNORECASE)
_AGREEMENT = re.compile(r"end user license agreement|(software )?license agreement for nvidia|nvidia software license")
_OPEN = re.compile(r"\b(apache|bsd|mit|gpl|lgpl|mpl|isc)\b")
_CLASSIFIED = "other/proprietary license"
_NCCL = re.compile(r"(nvidia-nccl|libnccl)([-.\d_].*)?")
_DEBIAN = re.compile(
    r"cuda-.*|libcu(da|blas|dart|dnn|dss|fft|file|pti|rand|solver|sparse|sparselt|tensor|inj)\d*([-.].*)?"
    r"|lib(npp|nvblas|nvfatbin|nvinfer|nvjpeg|nvjitlink|nvrtc|nvvm|nvidia-(?!container)|nvshmem).*|nvidia-cuda-.*|nsight-.*|tensorrt.*"
)
# By name, for files that came without a package: archives, conda, and wheels that bundle them, as triton does.
_LIBRARY = re.compile(
    r"lib(cuda|nvidia-(?!container)[-\w]+|(cudart|cudadevrt|cublas|cublasLt|cudnn|cudss|cufft|cufftw|cufile|cuinj64"
    r"|cupti|curand|cusolver|cusolverMg|cusparse|cusparseLt|cutensor|cutensorMg|npp[a-z]*|nvblas|nvfatbin|nvinfer"
    r"|nvJitLink|nvjpeg|nvperf|nvptxcompiler|nvrtc|nvshmem|nvvm)(_\w+|-builtins)?)"
    r"(\.alt)?(-[0-9a-f]+)?\.(so(\..*)?|a)"  # auditwheel puts a hash behind the stem: libcudart-9f7f2a1e.so.12
)
_TOOL = re.compile(r"(ptxas|ptxas-.*|nvdisasm|cuobjdump|nvlink|fatbinary|nvprune|cicc|cudafe\+\+)")
_TOOLKIT = re.compile(r"(usr/local|opt)/cuda[^/]*/|(.*/)?triton/backends/nvidia/(bin|lib)/")
_FORBIDDEN = "its licence forbids changing it (--include-proprietary changes it all the same)"

CLAUSE = (
    "--include-proprietary: NVIDIA's licence agreements for CUDA say that \"the object code files are not modified in "
    'any way" where they are redistributed. Changing them is for your own use, under your own agreement with NVIDIA.'
)
"""What is said once before such files are changed (CUDA Toolkit EULA, section 2.3; cuDNN's and others say the same)."""


def proprietary(rootfs: Rootfs) -> Callable[[str], str | None]:
    """Give a function that says why the licence forbids changing the file at a path; None when it does not."""
    owners = dict(_owned(rootfs))

    def reason(path: str) -> str | None:
        inode = rootfs.get(path)
        name = path.rpartition("/")[2]
        if inode is None or inode.kind is not Kind.FILE or _NCCL.fullmatch(name):
            return None
        if inode in owners:
            return f"{owners[inode]} is proprietary: {_FORBIDDEN}"
        if _LIBRARY.fullmatch(name) or _TOOL.fullmatch(name) or _TOOLKIT.match(path):
            return f"{name} is part of NVIDIA's CUDA software: {_FORBIDDEN}"
        return None

    return reason


def _owned(rootfs: Rootfs) -> Iterator[tuple[Inode, str]]:
    """Give the files of proprietary distributions and Debian packages, each with the name of its owner."""
    locate = locator(rootfs)
    for path, _ in rootfs.called("METADATA"):
        if path.endswith(_METADATA):
            name = _proprietary_name(rootfs, path)
            if name is not None:
                record = path.removesuffix("METADATA") + "RECORD"
                yield from ((inode, name) for inode in files_of(rootfs, record, locate))
    for name in rootfs.children("var/lib/dpkg/info"):
        package = name.removesuffix(".list").partition(":")[0]
        if name.endswith(".list") and _DEBIAN.fullmatch(package):
            yield from ((inode, package) for inode in _listed(rootfs, f"var/lib/dpkg/info/{name}", locate))


def _listed(rootfs: Rootfs, path: str, locate: Callable[[str], str | None]) -> Iterator[Inode]:
    for line in _text(rootfs, path).split("\n"):
        place = locate(line)
        inode = rootfs.get(place) if place is not None else None
        if inode is not None and inode.kind is Kind.FILE:
            yield inode


def _proprietary_name(rootfs: Rootfs, metadata: str) -> str | None:
    """Give the name of the distribution of a METADATA when it is proprietary and NVIDIA's, else None."""
    text = _text(rootfs, metadata, _MAX_HEADERS)
    headers = BytesHeaderParser().parsebytes(text.encode("utf-8", "surrogateescape"))

    def values(*keys: str) -> str:
        return "\n".join(str(value) for key in keys for value in headers.get_all(key, [])).lower()

    name = str(headers.get("Name", ""))
    normal = re.sub(r"[-_.]+", "-", name).lower()
    declared = values("License", "License-Expression")
    if _NCCL.fullmatch(normal):
        return None
    if re.search(r"nvidia[ -]proprietary|licenseref-nvidia", declared):
        return name
    if not normal.startswith("nvidia-") and "nvidia" not in values("Author", "Author-email", "Maintainer"):
        return None  # torch's licence files quote those of what it contains
    if _has_agreement(rootfs, metadata.rpartition("/")[0]) or "proprietary" in declared:
        return name
    classifiers = values("Classifier")
    is_open = _OPEN.search(declared) or "osi approved" in classifiers
    return name if not is_open and (_CLASSIFIED in classifiers or normal.startswith("nvidia-")) else None


def _has_agreement(rootfs: Rootfs, dist_info: str) -> bool:
    """Say whether a licence file of a distribution is one of NVIDIA's agreements."""
    for path in rootfs.below(dist_info):
        if _LICENCE_FILE.fullmatch(path.rpartition("/")[2]):
            text = _text(rootfs, path, _MAX_LICENCE).lower()
            if "nvidia" in text and _AGREEMENT.search(text):
                return True
    return False


def _text(rootfs: Rootfs, path: str, limit: int | None = None) -> str:
    inode = rootfs.get(path)
    if inode is None or inode.content is None:
        return ""
    data = inode.content.whole(path) if limit is None else inode.content.read_at(0, limit)
    return data.decode("utf-8", "surrogateescape")
