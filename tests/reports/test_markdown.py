from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.checks import Examined, Verdict
from slimmer.reports import write

from reported import HOSTILE, reported

if TYPE_CHECKING:
    from pathlib import Path


def test_a_comment_is_short_and_says_what_failed(tmp_path: Path) -> None:
    """Sizes, rules, gates and checks, in fewer characters than any forge allows, however much was changed."""
    write(reported(80_000), tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text("utf-8")

    assert len(text) < 5000
    assert text.startswith("### `app:1.4`: CHECK FAILED\n")
    assert "70.0 kB" in text
    assert "| `--max-size 1kB` | **failed** |" in text
    assert "| `--min-saving 5%` | passed |" in text
    assert "| torch_matmul | **failed** | 4.2 s | `results differ` |" in text
    assert "40,002 changes, the largest 10 of them" in text


def test_what_an_image_names_is_no_markup(tmp_path: Path) -> None:
    """A file's name neither ends a table's cell nor calls people nor reaches a terminal."""
    failed = Examined("odd", Verdict("failed", "", "", HOSTILE), 1.0)
    write(reported(checks=(failed,)), tmp_path / "r.md")
    (row,) = [line for line in (tmp_path / "r.md").read_text("utf-8").splitlines() if line.startswith("| odd")]

    assert row.split(" | ", 3)[3] == "`</script><img src=x onerror=alert(1)>'\\|@everyone\\x1b[2J\\u202e` |"


def test_a_run_without_checks_says_so_loudly(tmp_path: Path) -> None:
    """NOT VERIFIED is the first line, not a footnote."""
    write(reported(checks=(), gates=(), unverified=True), tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text("utf-8")

    assert text.splitlines()[0] == "### `app:1.4`: NOT VERIFIED"
    assert "nothing is proved by running" in text
