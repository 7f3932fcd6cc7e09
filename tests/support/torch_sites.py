"""A copy of the installed PyTorch and NVIDIA's libraries whose GPU code is for some GPUs only."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer.blobs import File
from slimmer.content import Content
from slimmer.elf.gpu.compaction import areas
from slimmer.elf.object import is_elf, parse
from slimmer.elf.pruned import prune
from slimmer.elf.shared import slim_shared_object
from slimmer.errors import ElfError
from slimmer.pieces import Piece

from handmade import save

if TYPE_CHECKING:
    from slimmer.elf.gpu.choice import Wanted

PACKAGES = ("torch", "nvidia", "triton")


def installed() -> list[Path]:
    """Give the folders of the packages that are installed; none where PyTorch is not, or is a build without CUDA."""
    found = []
    for name in PACKAGES:
        spec = find_spec(name)
        found += [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    return found if any((each / "lib" / "libtorch_cuda.so").exists() for each in found) else []


def made(packages: list[Path], site: Path, wanted: Wanted | None, *, recompress: bool = False) -> dict[str, str]:
    """Copy PACKAGES to SITE, their libraries with the GPU code that WANTED keeps and stripped.

    Gives for each library with GPU code, by its path in the site, what was done to it or why it stayed. All licences
    are disregarded: the copy is for this machine.
    """
    done = {}
    for package in packages:
        shutil.copytree(package, site / package.name, symlinks=True, copy_function=_linked, dirs_exist_ok=True)
    for path in sorted(site.rglob("*.so*")):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as stream:
            content = Content([Piece(File(stream), 0, path.stat().st_size)])
            if (word := _replaced(content, path, wanted, recompress=recompress)) is not None:
                done[str(path.relative_to(site))] = word
    return done


def _linked(source: str, target: str) -> str:
    """Give a file another name where that can be done: nothing is changed in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _replaced(content: Content, path: Path, wanted: Wanted | None, *, recompress: bool) -> str | None:
    """Slim one library; None for what has no GPU code."""
    if not is_elf(content):
        return None
    try:
        elf = parse(content)
        if not areas(elf):
            return None
        pruned = prune(elf, wanted, "amd64", recompress=recompress)
    except ElfError as error:
        return f"kept: {error}"
    if pruned is None:
        return "kept: it has no other code"
    slim, word = pruned
    try:
        stripped = slim_shared_object(slim, "amd64", None)
    except ElfError:
        stripped = None
    new = path.with_name(f"{path.name}.new")
    save((stripped or pruned)[0], new)
    new.chmod(path.stat().st_mode)
    new.replace(path)
    return word
