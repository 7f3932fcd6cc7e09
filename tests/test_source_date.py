from __future__ import annotations

import pytest

from slimmer.errors import UsageError
from slimmer.source_date import source_date


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SOURCE_DATE_EPOCH": ""}, None),
        ({"SOURCE_DATE_EPOCH": "0"}, "1970-01-01T00:00:00Z"),
        ({"SOURCE_DATE_EPOCH": "1709208000"}, "2024-02-29T12:00:00Z"),
        ({"SOURCE_DATE_EPOCH": "253402300799"}, "9999-12-31T23:59:59Z"),
        ({"SOURCE_DATE_EPOCH": "1", "TZ": "Asia/Tokyo"}, "1970-01-01T00:00:01Z"),
    ],
)
def test_the_date_is_what_the_variable_says(environment: dict[str, str], expected: str | None) -> None:
    """Seconds since 1970 in UTC, wherever the machine stands; nothing when it is not set."""
    assert source_date(environment) == expected


@pytest.mark.parametrize(
    "value", ["now", "-1", "1.5", " 1", "1e9", "0x10", "253402300800", "9" * 5000, "\u0661", "1_000"]
)
def test_no_number_is_a_wrong_command_line(value: str) -> None:
    """A date that cannot be is told at once, and not taken for none."""
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is") as refused:
        source_date({"SOURCE_DATE_EPOCH": value})

    assert refused.value.exit_code == 2
