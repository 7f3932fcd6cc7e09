"""An image: its configuration as the very bytes it came in, and its layers. Immutable; an edit gives a new one."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from slimmer import rawjson
from slimmer.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.content import Content

Digest = str
"""`sha256:` and 64 hexadecimal digits (OCI image specification, descriptor.md)."""


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_plain(value: object) -> bool:
    """Say whether a value is a word as platforms are called: it stands in every summary."""
    return value is None or (isinstance(value, str) and re.fullmatch(r"[\w.+-]{0,64}", value, re.ASCII) is not None)


def _is_list(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _is_command(value: object) -> bool:
    words = [value] if isinstance(value, str) else value
    return words is None or (isinstance(words, list) and _is_list(words) and sum(map(len, words)) <= _MAX_COMMAND)


def _is_mapping(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _is_healthcheck(value: object) -> bool:
    if not isinstance(value, dict):
        return value is None
    numbers = (value.get(key) or 0 for key in ("Interval", "Timeout", "StartPeriod", "Retries"))
    return _is_command(value.get("Test")) and all(type(one) is int and abs(one) < 1 << 63 for one in numbers)


_MAX_LAYERS = 500  # as overlayfs mounts (OVL_MAX_STACK); engines take 127
_MAX_COMMAND = 128 << 10
"""Letters: Linux takes no longer word (MAX_ARG_STRLEN), and what is longer is only there to be searched for long."""
_PLATFORM = ("os", "architecture", "variant")
_EXECUTION = {
    "Env": _is_list, "Cmd": _is_command, "Entrypoint": _is_command, "WorkingDir": _is_text, "User": _is_text,
    "Volumes": _is_mapping, "ExposedPorts": _is_mapping, "Healthcheck": _is_healthcheck,
}  # fmt: skip
"""What the keys are that slimmer reads, as the types of moby's container.Config ask it; no engine starts another."""
_CHANGED = ("rootfs", "history", "created", "config")
_MAX_DIGITS = 4300  # of what Python makes an integer: sys.int_info


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def digest(data: bytes) -> Digest:
    """Give the digest of DATA."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Config:
    """An image's configuration (OCI image specification, config.md), kept raw: the unknown is not touched."""

    raw: bytes

    @classmethod
    def parse(cls, raw: bytes, reference: str) -> Config:
        """Give the configuration that RAW encodes; raise SourceError, naming the image, when it is not one."""
        config = cls(raw)
        try:
            wrong = config._wrong()
            # What it becomes is written as UTF-8; half of a surrogate pair, which JSON can escape, is none.
            if not wrong:
                config.flattened("sha256:", "", {"slimmer": ""})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            # Not its repr: that of an error of decoding has the whole text, and with it all that ENV holds.
            said = f"{type(error).__name__}: {error}"
            raise SourceError(f"the configuration of {reference} is not one of an image: {said}") from None
        if wrong:
            raise SourceError(f"the configuration of {reference} is not one of an image: look at {', '.join(wrong)}")
        return config

    def _wrong(self) -> list[str]:
        """Give the names of the parts that are not what they must be."""
        mapping = self.mapping
        diff_ids, execution, history = mapping["rootfs"]["diff_ids"], mapping.get("config"), mapping.get("history")
        parts = [
            ("rootfs.diff_ids", isinstance(diff_ids, list) and all(isinstance(one, str) for one in diff_ids)),
            (f"rootfs.diff_ids, which has more than {_MAX_LAYERS}", len(diff_ids) <= _MAX_LAYERS),
            ("config", execution is None or isinstance(execution, dict)),
            ("config.Labels", not execution or isinstance(execution.get("Labels") or {}, dict)),
            ("history", history is None or (isinstance(history, list) and all(isinstance(h, dict) for h in history))),
            ("created", isinstance(mapping.get("created") or "", str)),
            *((key, _is_plain(mapping.get(key))) for key in _PLATFORM),
            *((f"config.{key}", is_right((execution or {}).get(key))) for key, is_right in _EXECUTION.items()),
        ]
        return [name for name, is_right in parts if not is_right] or self._ambiguous()

    def _ambiguous(self) -> list[str]:
        """Give the names that slimmer must change and that are there twice, or in other letters than these.

        Go's decoder merges such repetitions and does not tell capitals apart: it would find again what was replaced.
        """
        text = self.raw.decode("utf-8")
        keys = [member.key for member in rawjson.members(text)]
        found = [name for name in _CHANGED if [key for key in keys if key.lower() == name] not in ([], [name])]
        execution = rawjson.value_of(text, "config") or "null"
        if execution != "null":
            keys = [member.key for member in rawjson.members(execution) if member.key.lower() == "labels"]
            found += ["config.Labels"] if keys not in ([], ["Labels"]) else []
        return [f"{name}, which is there twice or in other letters" for name in found]

    @cached_property
    def mapping(self) -> dict[str, Any]:
        """The decoded configuration; an integer too long for Python is text."""
        decoded = json.loads(self.raw, parse_int=_integer)
        if not isinstance(decoded, dict):
            raise TypeError("not a JSON object")
        return decoded

    @property
    def id(self) -> Digest:
        """The image ID: the digest of the configuration's bytes."""
        return digest(self.raw)

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The digests of the uncompressed layers, oldest first."""
        return tuple(self.mapping["rootfs"]["diff_ids"])

    @property
    def os(self) -> str:
        """The operating system that the image is for."""
        return str(self.mapping.get("os") or "linux")

    @property
    def architecture(self) -> str:
        """The architecture as Go calls it: `amd64`, `arm64`; empty when the configuration does not say."""
        return str(self.mapping.get("architecture") or "")

    @property
    def platform(self) -> str:
        """The platform, as `linux/arm64/v8`."""
        parts = [self.os, self.architecture or "unknown", str(self.mapping.get("variant") or "")]
        return "/".join(part for part in parts if part)

    @property
    def execution(self) -> Mapping[str, Any]:
        """The `config` member: what a container of the image runs with."""
        return self.mapping.get("config") or {}

    @property
    def env(self) -> dict[str, str]:
        """The environment of a container; an entry without `=` has no value, as for the engine."""
        pairs = (str(entry).partition("=") for entry in self.execution.get("Env") or [])
        return {name: value for name, _, value in pairs}

    def flattened(
        self, diff_id: Digest, created_by: str, labels: Mapping[str, str], created: str | None = None
    ) -> Config:
        """Give this configuration with one layer instead of its own.

        `rootfs` names DIFF_ID alone. `history` keeps every line as one of an empty layer and gains a last one,
        CREATED_BY slimmer, for the layer there is. CREATED, as RFC 3339 has dates, is when that was and becomes the
        image's own `created`; without it both bear the one that the image has, since a clock would give each run
        another ID. LABELS are added to the image's own. Every other byte stays.
        """
        text = self.raw.decode("utf-8")
        own = {"created_by": created_by, "comment": f"{len(self.diff_ids)} layers flattened into one"}
        if date := created or self.mapping.get("created"):
            own = {"created": date, **own}
        history = rawjson.value_of(text, "history") or "null"
        lines = rawjson.elements("[]" if history == "null" else history)
        empty = [rawjson.replace(line, ("empty_layer",), value=True) for line in lines]
        text = rawjson.replace(text, ("rootfs",), {"type": "layers", "diff_ids": [diff_id]})
        text = rawjson.splice(text, ("history",), f"[{','.join([*empty, rawjson.encode(own)])}]")
        if created is not None:
            text = rawjson.replace(text, ("created",), created)
        for name, value in labels.items():
            text = rawjson.replace(text, ("config", "Labels", name), value)
        return Config(text.encode("utf-8"))

    def with_layer(self, diff_id: Digest, created_by: str) -> Config:
        """Give this configuration with one layer more, CREATED_BY whatever made it. Every other byte stays."""
        text = self.raw.decode("utf-8")
        history = rawjson.value_of(text, "history") or "null"
        lines = rawjson.elements("[]" if history == "null" else history)
        text = rawjson.replace(text, ("rootfs", "diff_ids"), [*self.diff_ids, diff_id])
        own = rawjson.encode({"created_by": created_by})
        return Config(rawjson.splice(text, ("history",), f"[{','.join([*lines, own])}]").encode("utf-8"))


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's uncompressed tar and the digest it must have."""

    diff_id: Digest
    content: Content


@dataclass(frozen=True, slots=True)
class Image:
    """An image that can be read as long as its source is open."""

    reference: str
    config: Config
    layers: tuple[Layer, ...]
