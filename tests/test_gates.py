from __future__ import annotations

import pytest

from slimmer.errors import UsageError
from slimmer.gates import Gates, size


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("17", 17), ("17B", 17), ("6.2GB", 6_200_000_000), ("6.2 gb", 6_200_000_000), ("750MB", 750_000_000),
     ("1kB", 1000), ("1.5KiB", 1536), ("2TiB", 2 << 40), ("0.0015kB", 1)],
)  # fmt: skip
def test_sizes_are_read_as_engines_print_them(text: str, count: int) -> None:
    """Decimal units, binary ones where an i says so, exact, never through a float."""
    assert size(text, "--max-size") == count


@pytest.mark.parametrize("text", ["", "GB", "6,2GB", "-1", "6.2.1GB", "6XB", "1e9", "5%", "٣GB", "1 0"])
def test_what_is_no_size_is_refused_with_the_forms(text: str) -> None:
    """The sentence names the option, what was written, and what can be."""
    with pytest.raises(UsageError, match=r"--max-size .*6\.2GB"):
        Gates(max_size=text)


def test_a_share_of_more_than_everything_is_refused() -> None:
    """Nothing could pass it."""
    with pytest.raises(UsageError, match="0% to 100%"):
        Gates(min_saving="101%")


@pytest.mark.parametrize(("after", "passed"), [(99, True), (100, True), (101, False)])
def test_a_result_of_the_limit_itself_passes(after: int, passed: bool) -> None:  # noqa: FBT001 - a table
    """--max-size is the largest size that passes."""
    (passage,) = Gates(max_size="100").passages(1000, after)

    assert (passage.passed, passage.actual, passage.limit) == (passed, after, 100)


@pytest.mark.parametrize(
    ("wish", "before", "after", "passed"),
    [("5%", 1000, 950, True), ("5%", 1000, 951, False), ("5%", 1001, 950, True), ("5%", 1001, 951, False),
     ("50", 1000, 950, True), ("50", 1000, 951, False), ("0%", 1000, 1000, True), ("0%", 1000, 1001, False),
     ("33.3%", 10, 6, True), ("0.1kB", 1000, 901, False)],
)  # fmt: skip
def test_a_saving_is_a_share_of_the_source_or_a_size(wish: str, before: int, after: int, passed: bool) -> None:  # noqa: FBT001
    """A share that is no whole number of bytes is rounded up; a result that grew saves less than nothing."""
    (passage,) = Gates(min_saving=wish).passages(before, after)

    assert passage.passed is passed


def test_the_sentence_says_both_numbers() -> None:
    """Who reads only the last line of a log knows by how much it failed."""
    first, second = Gates("100", "50%").passages(1000, 900)

    assert first.sentence == "the result has 900 bytes, and --max-size 100 allows 100"
    assert second.sentence == "100 bytes are saved, and --min-saving 50% asks for 500"
