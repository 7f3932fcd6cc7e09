from __future__ import annotations

from slimmer.naming import result_tag


def test_a_name_that_is_given_is_taken() -> None:
    """--tag names the result of an image that has no name."""
    assert str(result_tag(None, "app:slim")) == "app:slim"
    assert str(result_tag("app:1", None)) == "app:1-slim"
    assert result_tag(None, None) is None
