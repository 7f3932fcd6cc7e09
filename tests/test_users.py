from __future__ import annotations

from slimmer.users import caches, homes

from handmade import directory, file, flattened, symlink

PASSWD = file(
    "etc/passwd",
    b"root:x:0:0:root:/root:/bin/sh\napp:x:1:1::/home/app:/bin/sh\nno:x:2:2::/nonexistent:/bin/false\nbroken\n",
)


def test_homes_are_those_that_are_there() -> None:
    """Root's, those of /etc/passwd and what HOME says; symlinks are followed, and `/` is a home too."""
    rootfs = flattened(
        [PASSWD, directory("root"), symlink("home", "/srv/home"), directory("srv/home/app"), directory("opt/me")]
    )

    assert homes(rootfs, {"HOME": "/opt/me"}) == ["", "opt/me", "root", "srv/home/app"]


def test_an_image_without_users_has_a_root() -> None:
    """Without /etc/passwd, as in an image from scratch, /root counts when it is there."""
    assert homes(flattened([directory("root")]), {}) == ["", "root"]
    assert homes(flattened([directory("bin")]), {}) == [""]


def test_caches_lie_where_variables_and_homes_say() -> None:
    """Every place counts, not only the first: who built the image may have had another environment."""
    places = ["root/.cache/x", "xdg/x", "own"]
    rootfs = flattened([PASSWD, *(directory(place) for place in places), directory("xdg/y")])

    assert caches(rootfs, {"X_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "x", "X_CACHE") == [
        "own",
        "root/.cache/x",
        "xdg/x",
    ]
    assert caches(rootfs, {"X_CACHE": "own"}, "x", "X_CACHE") == ["root/.cache/x"]
