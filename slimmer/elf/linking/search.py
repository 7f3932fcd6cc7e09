"""Where the dynamic linker of an image looks for a needed library: glibc's ld.so(8), and musl's.

Nothing here opens a library: candidates come in the loader's order, and who asks takes the first that fits. Paths are
those of the image's root, symlinks followed inside it. Relative directories and empty ones mean the working
directory of a process that nobody knows, and are left out.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from slimmer.elf.linking.dynamic import DF_1_NODEFLIB, text
from slimmer.inode import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimmer.elf.linking.dynamic import Dynamic
    from slimmer.rootfs import Rootfs

_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")
_MUSL_OWN = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")  # load_library in musl's dynlink.c: the loader itself
_MUSL_DEFAULT = "/lib:/usr/local/lib:/usr/lib"
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_CACHE_ENTRY = "iIIIQ"
_MAX_TEXT, _MAX_CACHE = 1 << 20, 4 << 20
_MAX_FILES, _MAX_DIRECTORIES = 256, 1024
"""Of ld.so.conf: as many as it may include, and as they may name; distributions come with a dozen."""
_HWCAPS = "glibc-hwcaps"

# e_machine and class: what $PLATFORM means, and the Debian names of the architecture's directory
_ARCHITECTURES = {
    (62, 64): ("x86_64", ("x86_64-linux-gnu",)),
    (3, 32): ("i686", ("i386-linux-gnu",)),
    (183, 64): ("aarch64", ("aarch64-linux-gnu",)),
    (40, 32): ("v7l", ("arm-linux-gnueabihf", "arm-linux-gnueabi")),
    (21, 64): ("powerpc64le", ("powerpc64le-linux-gnu", "powerpc64-linux-gnu")),
    (22, 64): ("s390x", ("s390x-linux-gnu",)),
    (243, 64): ("riscv64", ("riscv64-linux-gnu",)),
    (258, 64): ("loongarch64", ("loongarch64-linux-gnu",)),
    (8, 64): ("mips", ("mips64el-linux-gnuabi64",)),
    (8, 32): ("mips", ("mipsel-linux-gnu", "mips-linux-gnu")),
}


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """An object as the loader holds it: where the file is, the path it was opened by, and who asked for it first."""

    path: str
    opened: str
    dynamic: Dynamic
    loader: Loaded | None

    @property
    def origin(self) -> str:
        """What $ORIGIN means: the directory of the path it was opened by, a last symlink not followed."""
        return self.opened.rpartition("/")[0]

    def chain(self) -> Iterator[Loaded]:
        """Give this object, who asked for it, who asked for that, up to the main program."""
        current: Loaded | None = self
        while current is not None:
            yield current
            current = current.loader


class Search:
    """The search for needed libraries in one root, with the environment of its processes."""

    def __init__(self, rootfs: Rootfs, env: Mapping[str, str]) -> None:
        self._rootfs = rootfs
        self._library_path = re.split("[:;]", env.get("LD_LIBRARY_PATH", ""))
        self._musl_library_path = re.split("[:\n]", env.get("LD_LIBRARY_PATH", ""))
        self._directories: dict[str, tuple[str, ...]] = {}
        self._found: dict[str, str | None] = {}
        self._expanded: dict[tuple[str, str, int, int], tuple[str, ...]] = {}
        self._cache = self._read_cache()
        self._configured = [] if self._cache is not None else self._conf("etc/ld.so.conf", set())
        names = [*rootfs.children("lib"), *rootfs.children("usr/lib")]
        self._musl_loaders = sorted(name for name in names if name.startswith("ld-musl-"))
        self._has_glibc = any(rootfs.where(lambda name, _: name.startswith(("ld-linux", "ld64.so"))))
        # /etc/ld.so.preload is glibc's only; musl does not look at it, and no image of musl has one.
        preload = re.sub("#.*", "", self._text("etc/ld.so.preload"))
        self.preloads = tuple(f"{env.get('LD_PRELOAD', '')} {preload}".replace(":", " ").split())
        """What LD_PRELOAD and /etc/ld.so.preload name."""

    def is_musl(self, dynamic: Dynamic) -> bool:
        """Say whether it is musl that loads the object: by its interpreter, what it needs, or what the image has."""
        if dynamic.interpreter is not None:
            return "/ld-musl-" in dynamic.interpreter
        for needed in dynamic.needed:
            if needed.startswith("libc.musl-") or needed == "libc.so":
                return True
            if needed.startswith(("libc.so.", "ld-linux")):
                return False
        return bool(self._musl_loaders) and not self._has_glibc

    def candidates(self, needed: str, loader: Loaded, main: Loaded, *, musl: bool) -> Iterator[tuple[str, str]]:
        """Give each path that is there with where it leads, in the order of the loader looking for NEEDED of LOADER."""
        if "/" in needed:
            for path in self._expand(needed, loader) if not musl else [needed]:
                if path.startswith("/") and (real := self._rootfs.resolve(path)) is not None:
                    yield path, real
        elif musl:
            yield from self._musl(needed, loader, main)
        else:
            yield from self._glibc(needed, loader, main)

    def _glibc(self, needed: str, loader: Loaded, main: Loaded) -> Iterator[tuple[str, str]]:
        """Follow _dl_map_object in glibc's dl-load.c."""
        nodeflib = loader.dynamic.flags_1 & DF_1_NODEFLIB
        for directory in self._run_path(loader, main):
            yield from self._in(directory, needed)
        if self._cache is not None:
            for path in self._cache.get(needed, ()):
                if not (nodeflib and _is_default(path, loader)) and (real := self._resolve(path)) is not None:
                    yield path, real
        for directory in [*self._configured, *([] if nodeflib else _defaults(loader.dynamic))]:
            yield from self._in(directory, needed)

    def _run_path(self, loader: Loaded, main: Loaded) -> Iterator[str]:
        runpath = loader.dynamic.runpath
        if runpath is None:
            chain = list(loader.chain())
            for owner in chain if main in chain else [*chain, main]:
                # An object's RPATH does not count beside its RUNPATH (elf_get_dynamic_info).
                if owner.dynamic.rpath is not None and owner.dynamic.runpath is None:
                    yield from self._paths(owner.dynamic.rpath, owner)
        for entry in self._library_path:
            yield from self._paths(entry, main)
        if runpath is not None:
            yield from self._paths(runpath, loader)

    def _musl(self, needed: str, loader: Loaded, main: Loaded) -> Iterator[tuple[str, str]]:
        """Follow load_library in musl's dynlink.c; unlike glibc's, a RUNPATH counts for those below as well."""
        if _MUSL_OWN.match(needed):
            interpreter = main.dynamic.interpreter
            for path in [interpreter] if interpreter else [f"/lib/{name}" for name in self._musl_loaders]:
                if (real := self._rootfs.resolve(path)) is not None:
                    yield path, real
            return
        directories = [entry for entry in self._musl_library_path if entry.startswith("/")]
        for owner in loader.chain():
            dynamic = owner.dynamic
            value = dynamic.runpath if dynamic.runpath is not None else dynamic.rpath
            if value is not None:
                value = value.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", f"/{owner.origin}")
                # Any other token makes it give the whole path up (fixup_rpath).
                directories += (
                    [] if "$" in value else [part for part in re.split("[:\n]", value) if part.startswith("/")]
                )
        for directory in [*directories, *self._musl_paths(main.dynamic)]:
            yield from self._in(directory, needed, hwcaps=False)

    def _musl_paths(self, dynamic: Dynamic) -> list[str]:
        interpreter = dynamic.interpreter or next((f"/lib/{name}" for name in self._musl_loaders), "")
        architecture = interpreter.rpartition("/")[2].removeprefix("ld-musl-").partition(".")[0]
        path = self._text(f"etc/ld-musl-{architecture}.path").strip() or _MUSL_DEFAULT
        return [part for part in re.split("[:\n]", path) if part.startswith("/")]

    def _paths(self, value: str, owner: Loaded) -> tuple[str, ...]:
        """Give the absolute directories of a search path, tokens expanded for the object that OWNER is."""
        dynamic = owner.dynamic
        known = (value, owner.origin if "$" in value else "", dynamic.machine, dynamic.form.bits)
        if known not in self._expanded:
            expanded = [path for entry in value.split(":") for path in self._expand(entry, owner)]
            self._expanded[known] = tuple(path for path in expanded if path.startswith("/"))
        return self._expanded[known]

    def _expand(self, entry: str, owner: Loaded) -> list[str]:
        """Give ENTRY with its tokens expanded; $LIB has several meanings, one per distribution."""
        platform, triplets = _architecture(owner.dynamic)
        libs = (
            [f"lib/{triplet}" for triplet in triplets] + (["lib64"] if owner.dynamic.form.bits == 64 else []) + ["lib"]
        )
        meanings = libs if re.search(r"\$\{?LIB", entry) else [""]
        found = []
        for lib in meanings:
            tokens = {"ORIGIN": f"/{owner.origin}", "LIB": lib, "PLATFORM": platform}
            found.append("".join(tokens.get(part, part) if at % 3 else part for at, part in _parts(entry)))
        return found

    def _in(self, directory: str, name: str, *, hwcaps: bool = True) -> Iterator[tuple[str, str]]:
        if directory not in self._directories:
            self._directories[directory] = self._real(directory)
        for real in self._directories[directory] if hwcaps else self._directories[directory][-1:]:
            path = f"{real}/{name}" if real else name
            if path in self._rootfs and (found := self._resolve(path)) is not None:
                yield path, found

    def _resolve(self, path: str) -> str | None:
        """Resolve a path that is there or that ld.so.cache names, once for all who look for it."""
        if path not in self._found:
            self._found[path] = self._rootfs.resolve(path)
        return self._found[path]

    def _real(self, directory: str) -> tuple[str, ...]:
        """Give where a directory really is, behind its subdirectories for better processors."""
        real = self._rootfs.resolve(directory)
        if real is None:
            return ()
        better = f"{real}/{_HWCAPS}".lstrip("/")
        return (*(f"{better}/{name}" for name in sorted(self._rootfs.children(better), reverse=True)), real)

    def _text(self, path: str) -> str:
        return text(self._bytes(path, _MAX_TEXT))

    def _bytes(self, path: str, longest: int) -> bytes:
        real = self._rootfs.resolve(path)
        inode = self._rootfs.get(real) if real is not None else None
        if inode is None or inode.kind is not Kind.FILE or inode.content is None:
            return b""
        return inode.content.read_at(0, longest)

    def _conf(self, path: str, seen: set[str]) -> list[str]:
        """Give the directories of ld.so.conf(5), those of the files that it includes at their place."""
        if path in seen or len(seen) >= _MAX_FILES:
            return []
        seen.add(path)
        found: list[str] = []
        for line in self._text(path).splitlines():
            words = line.partition("#")[0].replace(",", " ").split()
            if words[:1] == ["include"]:
                for pattern in words[1:]:
                    for included in self._glob(pattern, path):
                        found += self._conf(included, seen)
            elif words[:1] != ["hwcap"]:
                found += [word for word in words if word.startswith("/")]
            del found[_MAX_DIRECTORIES:]
        return found

    def _glob(self, pattern: str, relative_to: str) -> list[str]:
        if not pattern.startswith("/"):
            pattern = f"{relative_to.rpartition('/')[0]}/{pattern}"
        directory, _, last = pattern.rpartition("/")
        real = self._rootfs.resolve(directory)
        return (
            []
            if real is None
            else [f"{real}/{name}" for name in self._rootfs.children(real) if fnmatchcase(name, last)]
        )

    def _read_cache(self) -> dict[str, tuple[str, ...]] | None:
        """Give what /etc/ld.so.cache says, None when there is none: ld.so itself never reads ld.so.conf.

        An image without one gets ld.so.conf instead, for who runs ldconfig in its container: NVIDIA's runtime does.
        """
        data = self._bytes("etc/ld.so.cache", _MAX_CACHE)
        start = data.find(_CACHE_MAGIC)  # behind a table of the old format, perhaps (glibc's dl-cache.h)
        if start < 0 or start + 48 > len(data):
            return None
        data = data[start:]
        # The header's flags say the byte order in their lowest two bits: 2 is little, 3 big, 0 the old unsaid one.
        packing = struct.Struct((">" if data[28] & 3 == 3 else "<") + _CACHE_ENTRY)
        count = min(struct.unpack_from(packing.format[:1] + "I", data, 20)[0], (len(data) - 48) // packing.size)
        found: dict[str, list[str]] = {}
        budget = 8 * len(data)  # entries may share their strings, but not without end
        for _, name, path, _, _ in packing.iter_unpack(data[48 : 48 + count * packing.size]):
            strings = _string(data, name), _string(data, path)
            budget -= sum(map(len, strings))
            if budget < 0:
                return None
            found.setdefault(strings[0], []).append(strings[1])
        return {key: tuple(sorted(paths, key=lambda path: f"/{_HWCAPS}/" not in path)) for key, paths in found.items()}


def _parts(entry: str) -> Iterator[tuple[int, str]]:
    """Give the text between tokens at multiples of 3, and at the places behind it the token's name."""
    return ((at, part) for at, part in enumerate(_TOKEN.split(entry)) if part is not None)


def _string(data: bytes, start: int) -> str:
    return text(data[start : start + 4096].partition(b"\0")[0])


def _architecture(dynamic: Dynamic) -> tuple[str, tuple[str, ...]]:
    return _ARCHITECTURES.get((dynamic.machine, dynamic.form.bits), ("", ()))


def _defaults(dynamic: Dynamic) -> list[str]:
    """Give the directories that a loader has built in, those of every distribution: an image has only one's."""
    names = [*(f"lib/{triplet}" for triplet in _architecture(dynamic)[1])]
    names += ["lib64", "lib"] if dynamic.form.bits == 64 else ["lib", "lib32"]
    return [f"{prefix}/{name}" for name in names for prefix in ("", "/usr")]


def _is_default(path: str, loader: Loaded) -> bool:
    return path.rpartition("/")[0] in _defaults(loader.dynamic)
