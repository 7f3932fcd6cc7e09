"""Others work in the same engine meanwhile: another run, who removes or renames images, who runs containers of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from slimmer.runs import Run

from handmade import file, make_tar
from strikes import REFUSED
from victims import NAME, SLIM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strikes import Arena

pytestmark = pytest.mark.engine

IN_PLACE, REMOTE = 0, 1
OTHER = "slimmer-test/other:1"


@pytest.fixture
def source(field: Arena) -> Iterator[str]:
    """Give the source's ID and put it back afterwards, whatever became of it."""
    found = str(field.engine.inspect(NAME)["Id"])
    archive = field.engine.bytes_of("save", NAME)
    yield found
    field.engine("load", stdin=archive)
    field.source = field.described()  # its layers lie elsewhere now
    field.reset()


@pytest.mark.parametrize("way", [IN_PLACE, REMOTE], ids=["in place", "remote"])
def test_two_runs_of_one_image(field: Arena, way: int) -> None:
    """Both end well with the same image, and neither takes what is the other's; both remove what a third left."""
    alive = Run.this()
    dead = replace(alive, ticks=alive.ticks - 1)
    field.engine("tag", NAME, f"slimmer-trial:{dead}-1-result")
    field.engine("create", "--label", f"slimmer.run={dead}", NAME)
    runs = [field.start(field.ways[way]) for _ in range(2)]

    assert [run.ended() for run in runs] == [0, 0], [run.said for run in runs]

    assert runs[0].out == runs[1].out
    assert field.left() == []
    assert str(field.engine.inspect(SLIM)["Id"]) == runs[0].out.split()[0]
    field.reset()


def test_what_the_engine_ends_late_for_a_killed_run_is_removed(field: Arena) -> None:
    """It goes on with what it was told: an image that appears after a run has looked is there when it looks again."""
    alive = Run.this()
    late = f"slimmer-trial:{replace(alive, ticks=alive.ticks - 1)}-1-result"
    running = field.start(field.ways[IN_PLACE])
    running.wait("slimmer: verifying", 0)
    field.engine("tag", NAME, late)

    struck = field.look(running, field.ways[IN_PLACE])

    assert struck.status == 0, struck.said
    assert f"removed the image {late}" in struck.said
    assert struck.wrong + struck.left == []


@pytest.mark.parametrize(
    ("way", "stage"),
    [(REMOTE, "reading"), (REMOTE, "writing"), (IN_PLACE, "writing"), (IN_PLACE, "verifying")],
    ids=["remote, reading", "remote, writing", "in place, writing", "in place, verifying"],
)
def test_the_source_is_removed_meanwhile(field: Arena, source: str, way: int, stage: str) -> None:
    """What was read through the engine is whole, and where it is still needed the run ends with a sentence: exit 4."""
    running = field.start(field.ways[way])
    running.wait(f"slimmer: {stage}", 0.02)
    field.engine("rmi", "--force", source)

    status = running.ended()

    assert status == 4, running.said
    assert re.search("was removed|image was removed meanwhile|No such image", running.said.splitlines()[-1]), (
        running.said
    )
    assert "Traceback" not in running.said
    assert str(field.engine.inspect(SLIM)["Id"]) == field.old
    assert field.left() == []


def test_the_sources_name_goes_to_another_image_meanwhile(field: Arena, source: str) -> None:
    """The work goes by the ID that the name led to at the beginning; the result says so in its label."""
    other = field.engine.image(OTHER, [make_tar(file("other", b"x" * 5000))])
    running = field.start(field.ways[IN_PLACE])
    running.wait("slimmer: writing", 0)
    field.engine("tag", OTHER, NAME)

    status = running.ended()

    assert status == 0, running.said
    assert str(field.engine.inspect(NAME)["Id"]) == other
    result = field.engine.inspect(SLIM)
    assert str(result["Id"]) == running.out.split()[0]
    assert result["Config"]["Labels"]["slimmer.source"] == source
    field.engine("tag", source, NAME)
    field.engine("rmi", OTHER)
    assert field.left() == []


def test_the_results_name_goes_to_another_image_meanwhile(field: Arena) -> None:
    """A name that somebody took in the meantime is not taken from them: exit 5."""
    other = field.engine.image(OTHER, [make_tar(file("other", b"x" * 5000))])
    running = field.start(field.ways[IN_PLACE])
    running.wait("slimmer: verifying", 0)
    field.engine("tag", OTHER, SLIM)

    status = running.ended()

    assert status == 5, running.said
    assert "was not made by slimmer" in running.said.splitlines()[-1]
    assert str(field.engine.inspect(SLIM)["Id"]) == other
    assert field.left() == []
    field.reset()
    field.engine("rmi", OTHER)


def test_the_trial_image_is_removed_meanwhile(field: Arena) -> None:
    """As `docker image prune --all` does with what no container uses: exit 4 or 5, as it is read or to be run then."""
    running = field.start(field.ways[IN_PLACE])
    running.wait("slimmer: verifying", 0)
    (name,) = field.engine("images", "--format", "{{.Repository}}:{{.Tag}}", "slimmer-trial").split()
    field.engine("rmi", "--force", str(field.engine.inspect(name)["Id"]))

    struck = field.look(running, field.ways[IN_PLACE])

    assert struck.status in REFUSED, struck.said
    assert re.search("the trial image .* was removed|image was removed meanwhile", struck.said.splitlines()[-1])
    assert struck.wrong + struck.amiss_when_refused() + struck.left == []


def test_the_image_of_a_running_container(field: Arena) -> None:
    """The container runs on, of the same image, and the result is what it always is."""
    container = field.engine(
        "run", "--detach", "--network", "none", "--entrypoint", "/usr/bin/python3.11", NAME
    ).strip()
    described = field.engine("inspect", "--format", "{{.Image}} {{.State.StartedAt}}", container)
    field.before = field.engine.leftovers()
    try:
        struck = field.look(field.start(field.ways[IN_PLACE]), field.ways[IN_PLACE])

        assert struck.status == 0, struck.said
        assert struck.is_tagged
        assert struck.wrong + struck.left == []
        assert field.engine("inspect", "--format", "{{.Image}} {{.State.StartedAt}}", container) == described
    finally:
        field.engine("rm", "--force", "--volumes", container)
        field.before = field.engine.leftovers()
