"""What binds to what in a root file system: each needed library and each undefined symbol, as the loader would find it.

Every object is the main program once: its own closure of needed libraries, breadth first, is its scope, as for
`ldd -r`. That is stricter than a process, where an object that is loaded later also sees what is there already, a
Python extension the interpreter's functions: such symbols count as provided by the process when anything in the
image defines them. Symbols that nobody defines are unresolved, most often before slimming already.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from slimmer.elf.linking.dynamic import Dynamic, split
from slimmer.elf.linking.known import read_all
from slimmer.elf.linking.search import Loaded, Search

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimmer.elf.linking.known import Known
    from slimmer.elf.linking.symbols import Wanted
    from slimmer.elf.object import Format
    from slimmer.rootfs import Rootfs

    _Process = tuple[Format, int, bool]  # what objects of one process have in common; the last is whether it is musl


@dataclass(frozen=True, slots=True, order=True)
class Unresolved:
    """A library or a symbol that an object needs and the image does not have."""

    path: str
    kind: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What one object, under one of its names, binds to. Symbols are keys (symbols.Symbols), providers are paths."""

    needed: Mapping[str, str | None]
    bound: Mapping[str, frozenset[bytes]]
    """By each object of its own closure, the symbols that it provides."""
    provided: Mapping[str, frozenset[bytes]]
    """By some object outside, the symbols that a process has to provide."""
    missing: frozenset[bytes]

    def providers(self) -> dict[bytes, str]:
        """Give for each symbol that is bound within the closure the path of its provider."""
        return {symbol: provider for provider, symbols in self.bound.items() for symbol in symbols}

    def unresolved(self, path: str) -> list[Unresolved]:
        """Give what is unresolved, libraries first."""
        libraries = [Unresolved(path, "library", name, "") for name, found in self.needed.items() if found is None]
        return sorted(libraries) + sorted(Unresolved(path, "symbol", *split(symbol)) for symbol in self.missing)


@dataclass(frozen=True, slots=True)
class Linkage:
    """What every object of a root binds to.

    A file with several names is linked under each, since $ORIGIN differs; it counts once, and as unresolved is listed
    what the name that resolves most leaves. The Python package cache of uv holds such second names.
    """

    objects: int
    symbols: int
    unresolved: tuple[Unresolved, ...]
    provided_by_process: int
    bindings: Mapping[str, Binding]
    skipped: tuple[tuple[str, str], ...]
    """What begins as an ELF object and cannot be read, with the reason."""
    known: Known
    """What each file's content was read as, so that the linkage of a changed root reads only what changed."""
    sets: dict[frozenset[bytes], frozenset[bytes]]
    """Every set of symbols that is in a binding, once: copies of a library, and a changed root, have the same ones."""

    def provided(self) -> Iterator[tuple[str, str, str]]:
        """Give each path, the name of a symbol that a process must provide, and the path of who defines it."""
        for path, binding in self.bindings.items():
            for provider, symbols in binding.provided.items():
                for symbol in sorted(symbols):
                    yield path, split(symbol)[0], provider

    def as_json(self) -> dict[str, object]:
        """Give the linkage as the report shows it."""
        return {
            "objects": self.objects,
            "symbols": self.symbols,
            "unresolved": [asdict(one) for one in self.unresolved],
            "provided_by_process": self.provided_by_process,
        }


def link(rootfs: Rootfs, env: Mapping[str, str], known: Linkage | None = None) -> Linkage:
    """Give the linkage of ROOTFS for processes with the variables ENV; what KNOWN has read is not read again."""
    found = read_all(rootfs, known.known if known is not None else None)
    objects: dict[str, Dynamic] = {}
    skipped: list[tuple[str, str]] = []
    for path, content in found.contents.items():
        read = found.read[content]
        if isinstance(read, Dynamic):
            objects[path] = read
        else:
            skipped.append((path, str(read)))
    sets = known.sets if known is not None else {}
    bindings = _Linker(rootfs, env, objects, found.wanted, sets).bindings()
    chosen = _best_names(rootfs, bindings)
    return Linkage(
        objects=len(chosen),
        symbols=sum(len(objects[path].symbols.undefined) for path in chosen),
        unresolved=tuple(one for unresolved in chosen.values() for one in unresolved),
        provided_by_process=sum(len(symbols) for path in chosen for symbols in bindings[path].provided.values()),
        bindings=bindings,
        skipped=tuple(skipped),
        known=found,
        sets=sets,
    )


def _best_names(rootfs: Rootfs, bindings: Mapping[str, Binding]) -> dict[str, list[Unresolved]]:
    """Give for each file the name under which the least is unresolved, in no hidden directory, and what that is."""
    best: dict[int, tuple[int, bool, str]] = {}
    for path, binding in bindings.items():
        rank = len(binding.missing) + list(binding.needed.values()).count(None), "/." in f"/{path}", path
        file = id(rootfs.get(path))
        best[file] = min(best.get(file, rank), rank)
    return {path: bindings[path].unresolved(path) for _, _, path in best.values()}


class _Linker:
    """The linking of one root."""

    def __init__(
        self,
        rootfs: Rootfs,
        env: Mapping[str, str],
        objects: Mapping[str, Dynamic],
        wanted: Wanted,
        sets: dict[frozenset[bytes], frozenset[bytes]],
    ) -> None:
        self._sets = sets
        self._rootfs = rootfs
        self._objects = objects
        self._wanted = wanted
        self._answered: dict[tuple[int, bool], frozenset[bytes]] = {}
        self._search = Search(rootfs, env)
        self._processes: dict[str, _Process] = {
            path: (dynamic.form, dynamic.machine, self._search.is_musl(dynamic)) for path, dynamic in objects.items()
        }

    def bindings(self) -> dict[str, Binding]:
        """Give what each object binds to."""
        closures = {path: self._closure(path) for path in self._objects}
        wanted: dict[_Process, set[bytes]] = {}
        for path, closure in closures.items():
            wanted.setdefault(self._processes[path], set()).update(closure.missing)
        providers = {process: self._providers(process, symbols) for process, symbols in wanted.items()}
        for path, closure in closures.items():
            if not closure.missing:
                continue
            anybody = providers[self._processes[path]]
            provided: dict[str, set[bytes]] = {}
            left = {symbol for symbol in closure.missing if symbol not in anybody}
            for symbol in closure.missing - left:
                provided.setdefault(anybody[symbol], set()).add(symbol)
            by_provider = {provider: self._one(provided[provider]) for provider in sorted(provided)}
            closures[path] = replace(closure, provided=by_provider, missing=self._one(left))
        return closures

    def _providers(self, process: _Process, symbols: set[bytes]) -> dict[bytes, str]:
        """Give for each of SYMBOLS that has one an object that defines it; what is left of them has none.

        A program comes sooner than a library, and neither is from a cache where there is another one.
        """

        def order(path: str) -> tuple[bool, bool, str]:
            dynamic = self._objects[path]
            return "/." in f"/{path}", dynamic.interpreter is None or dynamic.soname is not None, path

        found: dict[bytes, str] = {}
        for path in sorted((path for path in self._objects if self._processes[path] == process), key=order):
            if not symbols:
                break
            answered = symbols & self._answers(path, musl=process[2])
            found.update(dict.fromkeys(answered, path))
            symbols -= answered
        return found

    def _closure(self, path: str) -> Binding:
        """Give what the object binds to among its own needed libraries and theirs; the rest is missing as yet."""
        main = Loaded(path, path, self._objects[path], None)
        needed, scope = self._scope(main)
        missing = set(main.dynamic.symbols.undefined)
        bound: dict[str, frozenset[bytes]] = {}
        for loaded in scope:
            if not missing:
                break
            if answered := missing & self._answers(loaded.path, musl=self._processes[path][2]):
                bound[loaded.path] = self._one(answered)
                missing -= answered
        return Binding(needed, bound, {}, self._one(missing))

    def _one(self, symbols: set[bytes]) -> frozenset[bytes]:
        """Give the one set of these symbols that is held."""
        made = frozenset(symbols)
        return self._sets.setdefault(made, made)

    def _scope(self, main: Loaded) -> tuple[dict[str, str | None], list[Loaded]]:
        """Give the main object's needed libraries and all objects in the order of lookup, breadth first.

        As _dl_map_object_deps does it: a library that is loaded already, by any name that it was asked for by, by its
        soname or as the same file, is not searched again. Preloaded ones come first.
        """
        scope = [main]
        files = {id(self._rootfs.get(main.path)): main}
        names: dict[str, Loaded | None] = {main.dynamic.soname: main} if main.dynamic.soname is not None else {}

        def load(name: str, loader: Loaded) -> None:
            if names.get(name) is not None:
                return
            names[name] = found = self._open(name, loader, main)
            if found is None:
                return
            names[name] = same = files.setdefault(id(self._rootfs.get(found.path)), found)
            if same is found:
                scope.append(found)
                if found.dynamic.soname is not None and not self._processes[main.path][2]:  # musl compares no sonames
                    names.setdefault(found.dynamic.soname, found)

        for name in self._search.preloads:
            load(name, main)
        for loader in scope:  # which grows
            for name in loader.dynamic.needed:
                load(name, loader)
        own = {name: names.get(name) for name in main.dynamic.needed}
        return {name: loaded.path if loaded is not None else None for name, loaded in own.items()}, scope

    def _open(self, name: str, loader: Loaded, main: Loaded) -> Loaded | None:
        """Give the first candidate of this class and machine; what is no object of any kind ends the search."""
        musl = self._processes[main.path][2]
        for candidate, path in self._search.candidates(name, loader, main, musl=musl):
            dynamic = self._objects.get(path)
            if dynamic is None:
                return None
            if (dynamic.form, dynamic.machine) == (main.dynamic.form, main.dynamic.machine):
                return Loaded(path, candidate.lstrip("/"), dynamic, loader)
            if musl:  # which never looks further than the first file of the name
                return None
        return None

    def _answers(self, path: str, *, musl: bool) -> frozenset[bytes]:
        """Give the keys that the object answers, of those that anybody looks up, and perhaps others."""
        symbols = self._objects[path].symbols
        known = id(symbols), musl
        if known not in self._answered:
            self._answered[known] = symbols.answered(self._wanted, musl=musl)
        return self._answered[known]
