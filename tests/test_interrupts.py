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


def test_steps_that_belong_together_are_all_done() -> None:
    """A hold within a hold raises nothing at its end; the outer one does."""
    done = []

    with pytest.raises(KeyboardInterrupt), interrupts.held():
        for step in range(3):
            with interrupts.held():
                os.kill(os.getpid(), signal.SIGINT if step == 0 else signal.SIGTERM if step == 1 else 0)
                done.append(step)

    assert done == [0, 1, 2]
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_the_third_is_not_held() -> None:
    """Somebody who does not want to wait need not, and afterwards interrupts are held as before."""
    with pytest.raises(KeyboardInterrupt), interrupts.held(), interrupts.held():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it was held")
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)


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
