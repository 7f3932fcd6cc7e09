from __future__ import annotations

import os
import signal

import pytest

from slimmer import interrupts


def test_an_interrupt_waits_and_comes_afterwards() -> None:
    """What is held is finished first."""
    done = []

    with pytest.raises(KeyboardInterrupt), interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
        done.append(True)

    assert done


def test_an_error_does_not_take_an_interrupt_with_it() -> None:
    """A caller may pass over the error, as over a container that is gone already."""
    with pytest.raises(KeyboardInterrupt) as caught, interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
        raise LookupError("gone already")

    assert isinstance(caught.value.__context__, LookupError)


def test_without_an_interrupt_an_error_stays_what_it_is() -> None:
    """Holding changes nothing else."""
    with pytest.raises(LookupError), interrupts.held():
        raise LookupError("gone already")


def test_who_wants_to_know_is_told_once() -> None:
    """The second time a person presses Ctrl-C nothing is said again."""
    told = []

    with pytest.raises(KeyboardInterrupt), interrupts.held(lambda: told.append(True)):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    assert told == [True]


def test_a_program_that_uses_slimmer_keeps_its_signals() -> None:
    """Only slimmer's own process stops listening when its work is done."""
    before = signal.getsignal(signal.SIGTERM)

    interrupts.ignore()

    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
