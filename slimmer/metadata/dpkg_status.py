"""dpkg's database of packages, `var/lib/dpkg/status`, and what apt adds to it: who was installed only for others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from slimmer.blobs import Bytes
from slimmer.metadata.deferred import Edit, edited
from slimmer.metadata.dpkg_relations import clauses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from slimmer.content import Content
    from slimmer.metadata.dpkg_relations import Alternative, Clause
    from slimmer.rootfs import Rootfs

STATUS = "var/lib/dpkg/status"
EXTENDED_STATES = "var/lib/apt/extended_states"
_PARAGRAPH = re.compile(r".+?(?:\n\n+|\Z)", re.DOTALL)
_FIELD = re.compile(r"^([!-9;-~]+):(.*(?:\n[ \t].*)*)", re.MULTILINE)
_ALL = "all"


@dataclass(frozen=True, eq=False)
class Package:
    """An installed package."""

    fields: Mapping[str, str]
    """Its paragraph, names of fields in lower case."""
    native: str
    """The architecture of dpkg itself, which packages for all architectures count as."""

    @property
    def name(self) -> str:
        """Its name, which several architectures may share."""
        return self.fields["package"]

    @property
    def architecture(self) -> str:
        """Its architecture, or `all`."""
        return self.fields.get("architecture", "")

    @property
    def list_name(self) -> str:
        """What its files in `var/lib/dpkg/info` are called."""
        return f"{self.name}:{self.architecture}" if self.fields.get("multi-arch") == "same" else self.name

    @property
    def is_protected(self) -> bool:
        """Whether dpkg or apt asks for a special word before it removes the package, or every system has it."""
        says_yes = any(self.fields.get(key, "").lower() == "yes" for key in ("essential", "protected", "important"))
        return says_yes or self.fields.get("priority") in {"required", "important"}

    @cached_property
    def depends(self) -> tuple[Clause, ...]:
        """What must be satisfied for it to work."""
        return clauses(self.fields.get("pre-depends", "")) + clauses(self.fields.get("depends", ""))

    @cached_property
    def recommends(self) -> tuple[Clause, ...]:
        """What apt installs with it, or keeps when it finds it: recommended and suggested."""
        return clauses(self.fields.get("recommends", "")) + clauses(self.fields.get("suggests", ""))

    @cached_property
    def _provides(self) -> tuple[Alternative, ...]:
        return tuple(clause[0] for clause in clauses(self.fields.get("provides", "")))

    @property
    def names(self) -> set[str]:
        """Its name and those that it provides."""
        return {self.name, *(provided.name for provided in self._provides)}

    def satisfies(self, wanted: Alternative, by: Package) -> bool:
        """Say whether it is what the package BY wants."""
        if not self._is_for(wanted.architecture, by):
            return False
        if self.name == wanted.name and wanted.accepts(self.fields.get("version", "")):
            return True
        names = (provided for provided in self._provides if provided.name == wanted.name)
        return any(wanted.accepts(provided.version or None) for provided in names)

    def _is_for(self, wanted: str, by: Package) -> bool:
        own = self.native if self.architecture == _ALL else self.architecture
        multi_arch = self.fields.get("multi-arch", "no")
        if wanted == "any":
            return multi_arch == "allowed" or own == by.own_architecture
        if wanted:
            return own == (self.native if wanted == "native" else wanted)
        return own == by.own_architecture or multi_arch == "foreign"

    @property
    def own_architecture(self) -> str:
        """The architecture that its relations are about."""
        return self.native if self.architecture == _ALL else self.architecture


def installed(rootfs: Rootfs) -> list[Package]:
    """Give the installed packages of a root; none where dpkg has no database."""
    found = [fields for _, _, fields in _paragraphs(rootfs, STATUS)]
    native = next((fields.get("architecture", "") for fields in found if fields.get("package") == "dpkg"), "")
    is_installed = (fields for fields in found if fields.get("status", "").split()[-1:] == ["installed"])
    return [Package(fields, native) for fields in is_installed if "package" in fields]


def installed_for_others(rootfs: Rootfs, packages: Collection[Package]) -> set[Package]:
    """Give those of PACKAGES that apt installed only because others need them."""
    states = [fields for _, _, fields in _paragraphs(rootfs, EXTENDED_STATES)]
    automatic = {
        (fields.get("package"), fields.get("architecture")) for fields in states if fields.get("auto-installed") == "1"
    }
    # Packages for all architectures stand there under dpkg's own.
    return {package for package in packages if (package.name, package.own_architecture) in automatic}


def without(rootfs: Rootfs, path: str, gone: Collection[Package]) -> Content | None:
    """Give the content of STATUS or EXTENDED_STATES without the paragraphs of GONE; None when it has none of them."""
    names = {
        (package.name, architecture)
        for package in gone
        for architecture in (package.architecture, package.own_architecture)
    }
    edits = [
        Edit(start, stop - start, Bytes(b""), 0)
        for start, stop, fields in _paragraphs(rootfs, path)
        if (fields.get("package"), fields.get("architecture")) in names
    ]
    inode = rootfs.get(path)
    return edited(inode.content, edits) if edits and inode is not None and inode.content is not None else None


def _paragraphs(rootfs: Rootfs, path: str) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Give where each paragraph of a file starts and ends, with the empty line behind it, and its fields."""
    inode = rootfs.get(path)
    if inode is None or inode.content is None:
        return
    # One byte a character, so that positions are those of the file.
    text = inode.content.whole(path).decode("latin-1")
    for found in _PARAGRAPH.finditer(text):
        fields = {field[1].lower(): field[2].strip() for field in _FIELD.finditer(found[0])}
        yield found.start(), found.end(), fields
