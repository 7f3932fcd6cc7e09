"""The engine shows the same configuration for both images, but for the labels that slimmer adds.

This asks the engine, not slimmer: what a tool drops on the way (a HEALTHCHECK, a SHELL, an ENV with quotes) is missed
when it is needed, in production.
"""

from __future__ import annotations

from typing import Any

from slimmer.checks import FAILED, PASSED, Pair, Verdict

_PLATFORM = ("Os", "Architecture", "Variant", "OsVersion", "Author", "Created")


class ConfigCheck:
    """The check."""

    name = "config"
    summary = "the engine shows the same configuration"

    def examine(self, pair: Pair) -> Verdict:
        """Compare what the engine says of both images."""
        original, slimmed = (_shown(subject.inspected) for subject in (pair.original, pair.slimmed))
        dates = [subject.config.mapping.get("created") for subject in (pair.original, pair.slimmed)]
        if dates[0] != dates[1]:
            original["Created"] = slimmed["Created"]  # SOURCE_DATE_EPOCH gave the result a date of its own
        # The labels that slimmer added are the only difference that may be.
        own_labels = original["Config"].get("Labels") or {}
        all_labels = slimmed["Config"].get("Labels") or {}
        original["Config"]["Labels"] = own_labels
        slimmed["Config"]["Labels"] = {
            name: value for name, value in all_labels.items() if name in own_labels or not name.startswith("slimmer.")
        }
        for name in own_labels.keys() & all_labels.keys():
            if name.startswith("slimmer."):  # the original was slimmed before
                slimmed["Config"]["Labels"][name] = own_labels[name]
        differing = sorted(key for key in _keys(original) if _at(original, key) != _at(slimmed, key))
        differing += sorted(key for key in _keys(slimmed) if key not in _keys(original))
        count = len(_keys(original))
        if differing:
            shown = (f"{count} keys", f"{len(_keys(slimmed))} keys")
            return Verdict(
                FAILED,
                *shown,
                f"differs in {', '.join(_named(key, original, slimmed) for key in differing)}",
                blames_no_change=True,
            )
        return Verdict(PASSED, f"{count} keys", f"{count} keys", f"{count} keys are the same")


def _shown(inspected: dict[str, Any]) -> dict[str, Any]:
    shown = {key: inspected.get(key) for key in _PLATFORM}
    # Keys that are absent and keys that are empty are the same to an engine, which shows either.
    shown["Config"] = {key: value for key, value in (inspected.get("Config") or {}).items() if value}
    return shown


def _keys(shown: dict[str, Any]) -> list[str]:
    return [*_PLATFORM, *(f"Config.{key}" for key in shown["Config"])]


def _at(shown: dict[str, Any], key: str) -> Any:  # noqa: ANN401 - any JSON value
    head, _, tail = key.partition(".")
    return shown["Config"].get(tail) if tail else shown.get(head)


def _named(key: str, original: dict[str, Any], slimmed: dict[str, Any]) -> str:
    """Give a key with the names of what differs in it, and no value: variables and labels hold passwords."""
    was, now = (_entries(_at(shown, key)) for shown in (original, slimmed))
    names = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    return f"{key} ({', '.join(names)})" if names else key


def _entries(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """Give what a mapping has, and what a list of `NAME=VALUE` does."""
    if isinstance(value, dict):
        return value
    entries = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
    pairs = (entry.partition("=") for entry in entries)
    return {name: text for name, is_pair, text in pairs if is_pair}


check = ConfigCheck()
