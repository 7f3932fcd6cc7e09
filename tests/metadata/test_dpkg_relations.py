from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimmer.metadata.dpkg_relations import Alternative, clauses, compare


def test_reads_what_dpkg_writes() -> None:
    """Clauses, alternatives, architectures and versions; what is none is left out."""
    assert clauses("libc6 (>= 2.36), python3:any | python (<< 1:3~) ,\n x86-64 (= 1), , what?") == (
        (Alternative("libc6", "", ">=", "2.36"),),
        (Alternative("python3", "any"), Alternative("python", "", "<<", "1:3~")),
        (Alternative("x86-64", "", "=", "1"),),
    )
    assert clauses("") == ()


@pytest.mark.parametrize(
    ("wanted", "version", "answer"),
    [
        (">= 2", "2", True), (">> 2", "2", False), ("<< 2", "2~rc1", True), ("= 2-1", "2-1", True), ("= 2-1", "2-1+b1", False),
        (">= 1:1", "9", False), ("<= 2.0", "2.0-0", True), (">= 2", None, False), ("", None, True),
    ],
)  # fmt: skip
def test_compares_versions(wanted: str, version: str | None, answer: object) -> None:
    """As dpkg compares them; a name provided without version satisfies no comparison."""
    ((alternative,),) = clauses(f"x ({wanted})" if wanted else "x")

    assert alternative.accepts(version) is answer


tails = st.text("019.~+az", max_size=5)
versions = st.builds(
    lambda epoch, upstream, revision: epoch + upstream + revision,
    st.sampled_from(["", "0:", "1:"]), tails.map(lambda tail: "1" + tail), st.one_of(st.just(""), tails.filter(bool).map(lambda tail: "-" + tail)),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(versions, versions)
def test_orders_versions_as_dpkg_does(first: str, second: str) -> None:
    """dpkg --compare-versions is the authority."""
    is_less = subprocess.run(["dpkg", "--compare-versions", first, "lt", second], check=False).returncode == 0

    assert (compare(first, second) < 0) is is_less
