"""Image references: `registry:5000/team/app:1.4`, and the name that a slimmed image gets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slimmer.errors import UsageError

# distribution's reference.go: a domain, path components, a tag.
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::\d+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<repository>(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>[\w][\w.-]{{0,127}}))?", re.ASCII
)
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
_MAX_REPOSITORY = 255


@dataclass(frozen=True, slots=True)
class Tag:
    """A repository and a tag."""

    repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Tag:
        """Give the reference that TEXT is, with `latest` for a missing tag; raise UsageError when it is none."""
        match = _REFERENCE.fullmatch(text)
        if match is None or len(match["repository"]) > _MAX_REPOSITORY:
            raise UsageError(
                f"{text!r} is not an image reference; it has the form repository:tag, the repository in lower case"
            )
        return cls(match["repository"], match["tag"] or "latest")

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def full(self) -> str:
        """The name with the registry and the namespace that docker leaves out (distribution's reference.Named)."""
        domain, slash, _ = self.repository.partition("/")
        if not slash:
            return f"docker.io/library/{self}"
        return str(self) if domain == "localhost" or "." in domain or ":" in domain else f"docker.io/{self}"


def is_name(image: str) -> bool:
    """Say whether an image is called by a name, not by an ID or a digest."""
    return not _IMAGE_ID.fullmatch(image) and "@" not in image


def slim_tag(image: str) -> Tag:
    """Give the name of the result for an image called IMAGE: its own with `-slim`."""
    tag = Tag.parse(image)
    return Tag.parse(f"{tag.repository}:{tag.tag}-slim")
