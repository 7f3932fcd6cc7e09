"""The dynamic symbols of an object: those that it defines for others, and those that it leaves to others.

Symbol versions are those of the GNU extension (LSB Core, "Symbol Versioning"). An image holds hundreds of thousands of
symbols, and of those that are defined nearly all are never asked for. So a symbol is a bytes object in a set and
nothing more, an object's table is read twice, and what the second reading keeps is what any first one found wanted.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import compress
from typing import TYPE_CHECKING

from slimmer.elf.hashes import MAX_SYMBOLS, gnu_hash, hashes_at, symbol_count
from slimmer.elf.linking.versions import VERSION, versions_of
from slimmer.elf.mapped import place
from slimmer.elf.numbers import numbers
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from slimmer.content import Content
    from slimmer.elf.object import Format, Object

_DT_STRTAB, _DT_SYMTAB, _DT_SYMENT, _DT_VERSYM = 5, 6, 11, 0x6FFFFFF0
_SHN_UNDEF, _SHN_ABS = 0, 0xFFF1
_STB_WEAK, _STT_TLS = 2, 6
_BINDINGS = frozenset({1, _STB_WEAK, 10})  # STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE
_NOT_VISIBLE = frozenset({1, 2})
_TYPES = frozenset({0, 1, 2, 5, _STT_TLS, 10})  # NOTYPE OBJECT FUNC COMMON TLS GNU_IFUNC: glibc's ALLOWED_STT
_VERSYM_HIDDEN = 0x8000

MAX_NAME = 1 << 17
"""No object comes near; it bounds what a hostile one costs."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """The symbols that others can bind to and those that this object looks up, as names or keys.

    A key is a name, and behind a NUL its version if it has one.
    """

    unversioned: frozenset[bytes]
    """Names defined without a version: they answer a reference to any version."""
    versioned: frozenset[bytes]
    """Keys of what is defined with a version."""
    default: frozenset[bytes]
    """Names that answer a reference without a version although they have one themselves, or are hidden."""
    visible: frozenset[bytes]
    """Names defined with a version that is not hidden, all that musl heeds of versions."""
    undefined: frozenset[bytes]
    """Keys of what some other object must define."""

    def answered(self, wanted: Wanted, *, musl: bool) -> frozenset[bytes]:
        """Give the keys that these answer: all of them that are WANTED are among those.

        glibc heeds versions, musl only whether one is hidden.
        """
        if musl:
            names = self.unversioned | self.visible
            return names.union(*(wanted.versions[name] for name in names & wanted.versions.keys()))
        names = self.unversioned & wanted.versions.keys()
        return (self.unversioned | self.default | self.versioned).union(*(wanted.versions[name] for name in names))


class Wanted:
    """What any of several objects looks up: of the symbols that they define only these matter."""

    def __init__(self, keys: Mapping[bytes, bytes]) -> None:
        self.keys = keys
        """Each key by itself, so that it is held once."""
        self.versions: dict[bytes, list[bytes]] = {}
        """By names, the keys that have a version."""
        self.names: dict[bytes, bytes] = {}
        """The names of all keys, each by itself."""
        for key in keys:
            name, versioned, _ = key.partition(b"\0")
            name = self.names.setdefault(name, name)
            if versioned:
                self.versions.setdefault(name, []).append(key)
        hashes = [gnu_hash(name) for name in self.names]
        self.hashes = frozenset(hashes).union(each ^ 1 for each in hashes)
        """The hashes of the names as DT_GNU_HASH has them, where the lowest bit means something else: either way."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the table of symbols lies, and that of their version indices if there is one."""

    content: Content
    form: Format
    count: int
    at: int
    indices_at: int | None

    @property
    def packing(self) -> struct.Struct:
        """Of st_name, st_info, st_other, st_shndx and st_value, which is the second in the smaller class."""
        return _packing(self.form)

    def data(self) -> bytes:
        return self.content.read_at(self.at, self.count * self.packing.size)

    def indices(self) -> Sequence[int]:
        if self.indices_at is None:
            return (1,) * self.count
        return numbers(self.form, "H", self.content.read_at(self.indices_at, 2 * self.count))

    def columns(self) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """Give each symbol's st_name, st_info and st_shndx."""
        data = self.data()
        words, halves = numbers(self.form, "I", data), numbers(self.form, "H", data)
        if self.form.bits == 64:
            return words[0::6], data[4::24], halves[3::12]
        return words[0::4], data[12::16], halves[7::8]


@dataclass(frozen=True, slots=True)
class Table:
    """What an object leaves to others, and where all that says what it defines lies in its file."""

    undefined: frozenset[bytes]
    """As in Symbols."""
    rows: _Rows
    versions: Mapping[int, bytes]
    strings_at: int
    strings_size: int
    hashes: tuple[int, int] | None
    """Where the hashes of symbols lie, and which symbol's is the first; None where all names have to be read."""

    @classmethod
    def of(
        cls, elf: Object, tags: Mapping[int, int], strings: bytes, keys: dict[bytes, bytes], like: Table | None = None
    ) -> Table:
        """Give the table of ELF, whose dynamic table has TAGS and STRINGS; LIKE itself where that has the same bytes.

        KEYS are those of other objects, each by itself; this one's come to them, and none is held twice.
        """
        versions = versions_of(elf, tags, strings)
        size = _packing(elf.form).size
        if tags.get(_DT_SYMENT, size) != size:
            raise ElfError(f"dynamic symbols of {tags[_DT_SYMENT]} bytes")
        count = symbol_count(elf, tags, size) if _DT_SYMTAB in tags else 0
        if count > MAX_SYMBOLS:
            raise ElfError(f"{count} dynamic symbols")
        at = place(elf, tags[_DT_SYMTAB], count * size) if count else 0
        indices_at = place(elf, tags[_DT_VERSYM], 2 * count) if _DT_VERSYM in tags and count else None
        rows = _Rows(elf.content, elf.form, count, at, indices_at)
        strings_at = place(elf, tags[_DT_STRTAB], len(strings)) if strings else 0
        hashes = hashes_at(elf, tags, count)
        if like is not None and like.has_bytes_of(cls(frozenset(), rows, versions, strings_at, len(strings), hashes)):
            return like
        starts, infos, sections = rows.columns()
        indices = rows.indices()
        left = [
            (starts[at], infos[at], indices[at])
            for at in [at for at, section in enumerate(sections) if section == _SHN_UNDEF]
            if starts[at] and infos[at] >> 4 in _BINDINGS
        ]
        undefined = set()
        for name, (_, info, index) in zip(_names(strings, [start for start, _, _ in left]), left, strict=True):
            if info >> 4 != _STB_WEAK:  # what an object can do without
                key = _key(name, versions.get(index & VERSION))
                undefined.add(keys.setdefault(key, key))
        if max(starts, default=0) > strings.rfind(b"\0"):
            hashes = None  # a name without an end is to be found, whether or not it is wanted
        return cls(frozenset(undefined), rows, versions, strings_at, len(strings), hashes)

    def has_bytes_of(self, other: Table) -> bool:
        """Say whether all that symbols are read from is the same; what lies in the same place is not read for this."""
        mine, its = self.rows, other.rows
        return (mine.form, mine.count, self.versions) == (its.form, its.count, other.versions) and not any(
            one.differs(another) for one, another in zip(self._parts(), other._parts(), strict=True)
        )

    def _parts(self) -> list[Content]:
        """Give the tables of symbols, version indices, names and hashes, empty for one that is not there."""
        rows = self.rows
        at, first = self.hashes or (0, rows.count)
        places = [
            (rows.at, rows.count * rows.packing.size),
            (rows.indices_at or 0, 0 if rows.indices_at is None else 2 * rows.count),
            (self.strings_at, self.strings_size),
            (at, 4 * (rows.count - first)),
        ]
        return [rows.content.slice(start, start + size) for start, size in places]

    def symbols(self, wanted: Wanted | None) -> Symbols:
        """Give the object's symbols, of those that it defines only what is WANTED, all for None.

        They are sorted by what they answer, which is what `check_match` in glibc's dl-lookup.c says.
        """
        unversioned, versioned, default, visible = [set[bytes]() for _ in range(4)]
        single: Counter[bytes] = Counter()
        for name, index in self._defined(wanted):
            version = self.versions.get(index & VERSION)
            if not version:
                (default if index & _VERSYM_HIDDEN else unversioned).add(name)
                continue
            key = _key(name, version)
            versioned.add(key if wanted is None else wanted.keys.get(key, key))
            if not index & _VERSYM_HIDDEN:
                visible.add(name)
            if index & VERSION == 2:  # the oldest version is what an unversioned reference was linked against
                default.add(name)
            elif not index & _VERSYM_HIDDEN:
                single[name] += 1
        default.update(name for name, times in single.items() if times == 1)
        return Symbols(*map(frozenset, (unversioned, versioned, default, visible, self.undefined)))

    def _defined(self, wanted: Wanted | None) -> Iterator[tuple[bytes, int]]:
        """Give the name and the version index of each symbol that others can bind to."""
        rows = self.rows
        positions = range(rows.count) if wanted is None or self.hashes is None else self._hashed(wanted, *self.hashes)
        if not positions:
            return
        data, packing, wide = rows.data(), rows.packing, rows.form.bits == 64
        defined: list[int] = []
        starts: list[int] = []
        for position in positions:
            if wide:
                start, info, other, section, value = packing.unpack_from(data, position * packing.size)
            else:
                start, value, info, other, section = packing.unpack_from(data, position * packing.size)
            binding, kind = info >> 4, info & 0xF
            if section == _SHN_UNDEF or not start or binding not in _BINDINGS:
                continue
            # STV_INTERNAL and STV_HIDDEN bind to nobody outside; an address of 0 is none.
            has_place = value or section == _SHN_ABS or kind == _STT_TLS
            if has_place and other & 3 not in _NOT_VISIBLE and kind in _TYPES:
                defined.append(position)
                starts.append(start)
        indices = rows.indices()
        strings = rows.content.read_at(self.strings_at, self.strings_size)
        for name, position in zip(_names(strings, starts), defined, strict=True):
            if wanted is None:
                yield name, indices[position]
            elif name in wanted.names:
                yield wanted.names[name], indices[position]

    def _hashed(self, wanted: Wanted, at: int, first: int) -> Sequence[int]:
        """Give each symbol with the hash of a wanted name: by that a loader finds it, and no other."""
        rows = self.rows
        words = numbers(rows.form, "I", rows.content.read_at(at, 4 * (rows.count - first)))
        return list(compress(range(first, rows.count), map(wanted.hashes.__contains__, words)))


def _names(strings: bytes, starts: Iterable[int]) -> Iterator[bytes]:
    """Give the names at STARTS of a table of strings. They may share their tails, but not without end."""
    budget = 2 * len(strings) + (1 << 20)
    for start in starts:
        end = strings.find(b"\0", start, start + MAX_NAME)
        budget -= end - start
        if end < 0 or budget < 0:
            raise ElfError(f"the symbol name at {start} has no end in the dynamic string table")
        yield strings[start:end]


def _key(name: bytes, version: bytes | None) -> bytes:
    return b"%b\0%b" % (name, version) if version else name


@cache
def _packing(form: Format) -> struct.Struct:
    """Give how the class and byte order writes a symbol: st_name first, the rest in one of two orders."""
    return struct.Struct(form.order + ("IBBHQ8x" if form.bits == 64 else "II4xBBH"))
