"""An engine that fails: exit 4 or 5 and one sentence, nothing tagged, nothing left; or the run gets over it.

Every request with every fault is tests/hard's.
"""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from forwarder import Fault, forwarded
from own_engine import OwnEngine

if TYPE_CHECKING:
    from strikes import Arena, Struck

pytestmark = pytest.mark.engine

IN_PLACE, REMOTE = 0, 1
LOST = "the connection to it was lost"


def assert_all_is_well(struck: Struck) -> None:
    """Fail when a run did, said or left what none may."""
    assert struck.wrong + struck.amiss_when_refused() + struck.left == [], struck.said


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        pytest.param(Fault("GET .*/images/.*/get", status=500), 4, "stopped sending sha256:.*: this engine", id="no save"),
        pytest.param(Fault("GET .*/images/.*/get", from_engine=1 << 20), 4, "cut short or damaged|lost", id="save is cut"),
        pytest.param(Fault("POST .*/images/create", status=500), 5, "did not take the result: this engine", id="no import"),
        pytest.param(Fault("POST .*/images/create", before_engine=1 << 20), 5, LOST, id="import is cut"),
        pytest.param(Fault("POST .*/images/create", from_engine=0), 5, LOST, id="import is done, the answer lost"),
        pytest.param(Fault("POST .*/images/load", from_engine=0), 5, LOST, id="load is done, the answer lost"),
        pytest.param(Fault("POST .*/containers/create", status=500), 5, "cannot run .*: this engine", id="no container"),
        pytest.param(Fault("POST .*/containers/.*/start", from_engine=0), 5, LOST, id="start is done, the answer lost"),
        pytest.param(Fault("POST .*/containers/.*/wait", from_engine=0), 5, LOST, id="wait is cut"),
        pytest.param(Fault("DELETE .*/containers/", status=500), 0, "", id="a container is not removed at once"),
        pytest.param(Fault("DELETE .*/images/", before_engine=0), 0, "", id="an image is not removed at once"),
        pytest.param(Fault("POST .*/tag", status=500), 5, "cannot tag .*: this engine", id="no tag"),
        pytest.param(Fault("POST .*/tag", before_engine=0), 5, f"cannot tag .*: {LOST}", id="tag is cut"),
        pytest.param(Fault("POST .*/tag", from_engine=0), 0, "", id="tag is done, the answer lost"),
    ],
)  # fmt: skip
def test_a_request_fails(field: Arena, fault: Fault, status: int, words: str) -> None:
    """Each kind of request, answered 500 or cut off; an answer that is lost says nothing of the deed."""
    with forwarded(field.engine.env["DOCKER_HOST"].removeprefix("unix://"), fault) as host:
        struck = field.look(field.start(field.ways[REMOTE], host), field.ways[REMOTE])

    assert fault.has_happened
    assert struck.status == status, struck.said
    assert re.search(words, struck.said.splitlines()[-1])
    assert_all_is_well(struck)


@pytest.mark.parametrize("request_line", ["POST .*/images/create", "POST .*/images/load"], ids=["import", "load"])
def test_an_image_that_the_engine_makes_for_nobody(field: Arena, request_line: str) -> None:
    """It has all that it needs and goes on when the connection is cut: what it makes then is waited for, and removed."""
    fault = Fault(request_line, late=1.5)
    with forwarded(field.engine.env["DOCKER_HOST"].removeprefix("unix://"), fault) as host:
        struck = field.look(field.start(field.ways[REMOTE], host), field.ways[REMOTE])
        time.sleep(2)

    assert struck.status == 5, struck.said
    assert LOST in struck.said.splitlines()[-1]
    assert_all_is_well(struck)
    assert field.left() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
@pytest.mark.parametrize("stage", ["writing", "verifying"])
def test_an_engine_that_is_restarted(field: Arena, stage: str, number: signal.Signals) -> None:
    """The run waits for it, to remove what it had put there, and says that the connection was lost."""
    engine = field.engine
    assert isinstance(engine, OwnEngine)
    running = field.start(field.ways[IN_PLACE])
    running.wait(f"slimmer: {stage}", 0.2)
    engine.stop(number)
    running.wait("slimmer: the engine does not answer", 0.5)
    engine.start()

    struck = field.look(running, field.ways[IN_PLACE])

    assert struck.status == 5, struck.said
    assert LOST in struck.said
    assert_all_is_well(struck)
