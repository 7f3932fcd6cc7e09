from __future__ import annotations

import pytest

from slimmer.rules.apt_cache import rule

from handmade import Spec, directory, file, flattened, symlink
from planning import gone, plan_for

PARTIAL = {"mode": 0o700, "owner": (42, 0)}
STAYS = [
    directory("var/lib/apt/lists"), file("var/lib/apt/lists/lock", mode=0o640), directory("var/lib/apt/lists/partial", **PARTIAL),
    directory("var/lib/apt/lists/auxfiles"), file("var/lib/apt/extended_states", b"Package: x\n"),
    directory("var/cache/apt/archives"), file("var/cache/apt/archives/lock", mode=0o640), directory("var/cache/apt/archives/partial", **PARTIAL),
    file("var/cache/apt/archives/notes.txt", b"mine"), file("var/cache/apt/other", b"x"),
]  # fmt: skip
LISTS = [
    "var/lib/apt/lists/deb.example_dists_x_InRelease",
    "var/lib/apt/lists/partial/half",
    "var/lib/apt/lists/auxfiles/x",
]
PACKAGES = ["var/cache/apt/archives/x_1_amd64.deb", "var/cache/apt/archives/partial/y_1_amd64.deb"]
INDEXES = ["var/cache/apt/pkgcache.bin", "var/cache/apt/pkgcache.bin.Ab3dEf", "var/cache/apt/srcpkgcache.bin"]
DOWNLOADED = [file(path, b"0123456789") for path in (*LISTS, *PACKAGES, *INDEXES)]


def test_removes_what_apt_downloaded() -> None:
    """Lists, packages and indexes go; directories, locks and `partial` stay with owner and mode, and so does the rest."""
    plan = plan_for(rule, flattened([*STAYS, *DOWNLOADED]))

    assert sorted(gone(plan)) == sorted([*LISTS, *PACKAGES, *INDEXES])
    assert sum(change.saved for change in plan.changes) == 80
    partial = plan.result.get("var/lib/apt/lists/partial")
    assert partial is not None
    assert (partial.mode, partial.uid) == (0o700, 42)


def test_an_empty_cache_is_silent() -> None:
    """Where nothing was downloaded there is nothing to say."""
    plan = plan_for(rule, flattened(STAYS))

    assert (plan.changes, plan.kept) == ((), ())


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        pytest.param(file("etc/apt/sources.list.d/local.list", b"deb [trusted=yes] file:/var/cache/apt/archives ./\n"), "/etc/apt/sources.list.d/local.list names it as a source of packages", id="source"),
        pytest.param(symlink("srv/x.deb", "/var/cache/apt/archives/x_1_amd64.deb"), "/srv/x.deb is a symlink into it", id="symlink"),
    ],
)  # fmt: skip
def test_keeps_packages_that_something_needs(needs: Spec, reason: str) -> None:
    """Packages that are offered or linked to stay; the lists go all the same."""
    plan = plan_for(rule, flattened([*STAYS, *DOWNLOADED, needs]))

    assert [(kept.path, kept.reason) for kept in plan.kept] == [("var/cache/apt/archives", reason)]
    assert sorted(gone(plan)) == sorted([*LISTS, *INDEXES])
