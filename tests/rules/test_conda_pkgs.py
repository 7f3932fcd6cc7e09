from __future__ import annotations

from typing import Any

import pytest

from slimmer.rules.conda_pkgs import rule

from handmade import Spec, data_of, file, flattened, hard_link, symlink
from planning import gone, plan_for

PKGS = "opt/conda/pkgs"
PREFIX = [
    file("opt/conda/conda-meta/history", b"==> 2026-01-01 <==\n"),
    file("opt/conda/conda-meta/zlib-1.json", b'{"link": {"source": "/opt/conda/pkgs/zlib-1-h0"}}'),
]
CACHE = [
    file(f"{PKGS}/urls.txt", b"https://example.invalid/zlib-1-h0.conda\n"), file(f"{PKGS}/urls", b""),
    file(f"{PKGS}/cache/0a1b.json", b"repodata"), file(f"{PKGS}/cache/0a1b.info.json", b"{}"),
    file(f"{PKGS}/zlib-1-h0/info/index.json", b"{}"), file(f"{PKGS}/zlib-1-h0/lib/libz.so.1", b"library"),
    file(f"{PKGS}/zlib-1-h0/only_here", b"0123456789"), file(f"{PKGS}/zlib-1-h0.conda", b"archive"), file(f"{PKGS}/old-2-0.tar.bz2", b"bz2"),
]  # fmt: skip
LINKED = hard_link("opt/conda/lib/libz.so.1", f"{PKGS}/zlib-1-h0/lib/libz.so.1")


def test_removes_the_cache_and_keeps_what_is_installed() -> None:
    """The cache has the first name of an installed file: it stays, with its content; only what nobody else has is saved."""
    plan = plan_for(rule, flattened([*PREFIX, *CACHE, LINKED]))

    assert data_of(plan.result, "opt/conda/lib/libz.so.1") == b"library"
    assert sorted(path for path, _ in plan.result.entries() if path.startswith(PKGS)) == [
        PKGS, f"{PKGS}/cache", f"{PKGS}/urls", f"{PKGS}/urls.txt",
    ]  # fmt: skip
    assert sum(change.saved for change in plan.changes) == len(b"repodata{}{}0123456789archivebz2")


def test_finds_a_cache_by_its_variable() -> None:
    """CONDA_PKGS_DIRS may name it anything."""
    moved = [{**entry, "path": entry["path"].replace(PKGS, "srv/store")} for entry in CACHE]

    plan = plan_for(rule, flattened([*PREFIX, *moved]), Env=["CONDA_PKGS_DIRS=/nowhere,/srv/store"])

    assert "srv/store/zlib-1-h0" in gone(plan)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(CACHE, id="no environment of conda's"),
        pytest.param([*PREFIX, file("opt/conda/pkgs/x/info/index.json")], id="neither urls.txt nor cache"),
        pytest.param(
            [*PREFIX, file("srv/pkgs/urls.txt"), file("srv/pkgs/x/data"), file("srv/pkgs/x.zip")],
            id="another program's pkgs",
        ),
        pytest.param([*PREFIX, file("root/.cache/conda/notices/x")], id="no packages"),
    ],
)
def test_leaves_alone_what_is_no_cache(entries: list[Spec]) -> None:
    """A cache has conda's shape, in an image that conda installed something in."""
    plan = plan_for(rule, flattened(entries))

    assert (plan.changes, plan.kept) == ((), ())


def test_a_stranger_in_the_cache_stays() -> None:
    """What is no package of conda's is not conda's to lose."""
    strangers = [
        file(f"{PKGS}/notes.txt", b"mine"),
        file(f"{PKGS}/work/data", b"mine"),
        file(f"{PKGS}/cache/mine.txt", b"mine"),
    ]

    plan = plan_for(rule, flattened([*PREFIX, *CACHE, *strangers]))

    assert all(entry["path"] in plan.result for entry in strangers)


@pytest.mark.parametrize(
    ("entries", "config", "reason"),
    [
        pytest.param(
            [symlink("opt/conda/envs/x/lib/libz.so.1", f"/{PKGS}/zlib-1-h0/lib/libz.so.1")], {},
            "/opt/conda/envs/x/lib/libz.so.1 is a symlink into it", id="softlinks",
        ),
        pytest.param([], {"Env": [f"LD_LIBRARY_PATH=/{PKGS}/zlib-1-h0/lib"]}, "the image's Env LD_LIBRARY_PATH leads into it", id="path"),
        pytest.param([file("s/x.pth", f"/{PKGS}/zlib-1-h0\n".encode())], {}, "/s/x.pth names a path in it", id="pth"),
    ],
)  # fmt: skip
def test_keeps_a_cache_that_something_needs(entries: list[Spec], config: dict[str, Any], reason: str) -> None:
    """Whatever leads into the cache keeps all of it, and the report says what that was."""
    plan = plan_for(rule, flattened([*PREFIX, *CACHE, *entries]), **config)

    assert plan.changes == ()
    assert [(kept.path, kept.reason) for kept in plan.kept] == [(PKGS, reason)]
