"""The Python API, as far as it needs no engine."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import slimmer

if TYPE_CHECKING:
    from pathlib import Path


def test_importing_slimmer_costs_nothing() -> None:
    """A program that may never slim anything pays for no library of slimmer's, and its signals stay its own."""
    code = (
        "import signal, sys; before = signal.getsignal(signal.SIGTERM); import slimmer; "
        "print(sorted({'click', 'docker', 'lief', 'elftools', 'tqdm'} & set(sys.modules))); "
        "slimmer.run; print(bool({'click', 'lief'} & set(sys.modules)), signal.getsignal(signal.SIGTERM) is before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["[]", "False True"]


def test_every_word_is_there() -> None:
    """What `__all__` promises can be had, and nothing else by accident."""
    for name in slimmer.__all__:
        assert getattr(slimmer, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'squash'"):
        slimmer.squash  # noqa: B018


@pytest.mark.parametrize(
    "wrong",
    [{"compression": "lzma"}, {"strip_with": "llvm"}, {"max_size": "big"}, {"platform": "amd64/linux/x/y"}, {"only": ["stripp"]},
     {"output": "somewhere"}],
)  # fmt: skip
def test_a_wrong_argument_is_a_usage_error(wrong: dict[str, str]) -> None:
    """As on the command line: one sentence, before anything is read."""
    with pytest.raises(slimmer.SlimmerError) as error:
        slimmer.run("slimmer-test/no-such:1", **wrong)  # type: ignore[arg-type]
    assert error.value.exit_code == 2
    assert next(iter(wrong.values()))[0][:5] in str(error.value)


def test_a_report_of_no_known_form_is_refused(tmp_path: Path) -> None:
    """The suffix says what is written."""
    with pytest.raises(slimmer.SlimmerError, match=r"\.html, \.json|\.json"):
        slimmer.write_report(None, tmp_path / "r.pdf")  # type: ignore[arg-type]
