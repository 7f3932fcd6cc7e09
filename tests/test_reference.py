from __future__ import annotations

import pytest

from slimmer.errors import UsageError
from slimmer.reference import Tag, is_name, slim_tag


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("app", "app:latest-slim"),
        ("app:1.4", "app:1.4-slim"),
        ("registry:5000/team/app", "registry:5000/team/app:latest-slim"),
        ("registry.example.com/a/b__c:V1.0_x", "registry.example.com/a/b__c:V1.0_x-slim"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1-slim"),
        ("deadbeef:1", "deadbeef:1-slim"),
    ],
)
def test_the_result_is_named_after_the_image(image: str, expected: str) -> None:
    """A registry's port is no tag, and a missing tag is `latest`."""
    assert str(slim_tag(image)) == expected


@pytest.mark.parametrize("image", ["sha256:" + "a" * 64, "0123456789ab", "app@sha256:" + "a" * 64])
def test_an_id_is_no_name(image: str) -> None:
    """What has no name gets none by itself."""
    assert not is_name(image)
    assert is_name("app:1")


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("team/app:1", "docker.io/team/app:1"),
        ("localhost/app:1", "localhost/app:1"),
        ("registry:5000/app:1", "registry:5000/app:1"),
        ("example.com/a/b:1", "example.com/a/b:1"),
    ],
)
def test_the_full_name_is_the_one_that_docker_means(name: str, full: str) -> None:
    """Containerd knows images by it."""
    assert Tag.parse(name).full == full


@pytest.mark.parametrize(
    "text", ["", "App", "a b", "app:", "app:" + "x" * 129, "-app", "a//b", "app:1:2", "x" * 256, "app:$(id)"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """The grammar is the engine's, so that a run does not end with the engine's refusal."""
    with pytest.raises(UsageError, match="not an image reference"):
        Tag.parse(text)


def test_a_slim_name_that_gets_too_long_is_refused() -> None:
    """A tag has at most 128 characters, -slim among them."""
    with pytest.raises(UsageError, match="not an image reference"):
        slim_tag("app:" + "x" * 125)
