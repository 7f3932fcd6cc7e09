from __future__ import annotations

import pytest

from slimmer.errors import UsageError
from slimmer.naming import result_tag


def test_a_name_that_is_given_is_taken() -> None:
    """--tag names the result of an image that has only an ID."""
    assert str(result_tag("sha256:" + "a" * 64, "app:slim")) == "app:slim"
    assert str(result_tag("app:1", None)) == "app:1-slim"
    with pytest.raises(UsageError):
        result_tag("sha256:" + "a" * 64, None)
