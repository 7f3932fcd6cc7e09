"""SOURCE_DATE_EPOCH: the date that whoever builds wants a result to bear (reproducible-builds.org's specification)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slimmer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "SOURCE_DATE_EPOCH"
_LAST = 253_402_300_799  # the last second of the year 9999, beyond which RFC 3339 has no form


def source_date(environment: Mapping[str, str]) -> str | None:
    """Give the date that ENVIRONMENT names, as an image's `created` has it (RFC 3339); None when it names none.

    An empty value is none, as for BuildKit. Raises UsageError for what is no number of seconds since 1970.
    """
    value = environment.get(_NAME, "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(_LAST)) and int(value) <= _LAST):
        raise UsageError(
            f"{_NAME} is {value!r}, which is no number of seconds since 1970 up to the year 9999; "
            "set it to one, as `git log -1 --format=%ct` prints, or unset it"
        )
    return datetime.fromtimestamp(int(value), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
