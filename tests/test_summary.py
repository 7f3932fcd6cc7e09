from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from slimmer.checks import Examined, Verdict
from slimmer.elf.linking.linkage import Unresolved
from slimmer.plan import Change, Kept, Plan
from slimmer.propose import Links
from slimmer.report import Estimate, Report, Restored, ResultFacts, SourceFacts, printable
from slimmer.reports import write
from slimmer.summary import duration, render, size

from handmade import file, flattened

if TYPE_CHECKING:
    from pathlib import Path


def report(**more: object) -> Report:
    """Give a report with one of everything."""
    rootfs = flattened([file("a", b"x" * 90)])
    changes = (Change("usr/lib/a.so", "strip", "replace", 5_000_000, 1_000_000, 1, "layout"),)
    kept = tuple(Kept(f"usr/lib/{number}.so", "strip", "laid out by BOLT") for number in range(3))
    plan = Plan(rootfs, rootfs, ("strip", "uv_cache"), changes, (*kept, Kept("x\x1b[2J.so", "strip", "why \x07")))
    facts = {
        "source": SourceFacts("app:1.4", "sha256:1", 10_000_000, 9_000_000, 7, "linux/amd64"),
        "plan": plan,
        "links": Links(3, 5, 1, (), (Unresolved("a.so", "symbol", "gone", ""),)),
        "estimate": Estimate(5_000_000, 5_010_432),
        "timings": {"read": 1.5, "plan": 0.2},
        "dry_run": True,
        **more,
    }
    return Report(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9_994, "9.99 kB"), (9_996, "10.0 kB"), (99_960, "100 kB"),
     (999_600, "1.00 MB"), (8_412_345_678, "8.41 GB"), (-5_300_000, "-5.30 MB"), (10**16, "10000 TB")],
)  # fmt: skip
def test_sizes_have_three_digits(count: int, text: str) -> None:
    """Decimal units as engines print them."""
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (61, "1 min 01 s")])
def test_durations(seconds: float, text: str) -> None:
    """Tenths where they matter, minutes where seconds do not."""
    assert duration(seconds) == text


def test_the_summary_says_what_happened() -> None:
    """Before and after, a line per rule, what was kept and why, checks, time; no line is wider than a terminal."""
    reason = "18 results equal to the bit; torch 2.9.0+cu128, cuda 12.8"
    check = Examined("torch_matmul", Verdict("passed", "…", "…", reason), 6.9)
    result = ResultFacts("app:1.4-slim", "sha256:2", 5_000_000, 5_010_432, "sha256:3")

    text = render(report(result=result, checks=(check,), dry_run=False))

    assert "app:1.4 -> app:1.4-slim (linux/amd64)" in text
    assert "10.0 MB -> 5.00 MB, 5.00 MB saved (50.0 %); 7 layers -> 1" in text
    assert "strip     4.00 MB   1 file" in text
    assert "nothing for uv_cache" in text
    assert "    3 strip: laid out by BOLT" in text
    assert "torch_matmul passed 6.9 s 18 results equal to the bit; torch 2.9.0+cu128" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_long_name_takes_a_line_of_its_own() -> None:
    """A registry's host and a long path do not break the lines of an 80-column terminal amid a word."""
    reference = "registry.example.com:5000/platform-team/recommendations/service:2026.11.23-rc1"
    text = render(report(source=SourceFacts(reference, "sha256:1", 10, 9, 7, "linux/amd64")))

    assert f"\n{reference}\n  -> (dry run: nothing was written)\n  (linux/amd64)\n" in text


def test_a_long_name_of_a_check_leaves_room_for_what_it_found() -> None:
    """A command's name pushed its result to the right edge, one word a line."""
    checks = (
        Examined("files", Verdict("passed", "…", "…", "1,000 paths are as planned"), 2.0),
        Examined(
            "command: a transformer's forward pass", Verdict("passed", "…", "…", "exit status 0, the same output"), 43.0
        ),
    )
    text = render(report(checks=checks, dry_run=False))

    assert "          command: a transformer's forward pass\n" in text
    assert "                 passed     43 s  exit status 0, the same output\n" in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"dry_run": True, "in_engine": False}, "(dry run: nothing was written)"),
        ({"dry_run": False, "in_engine": True}, "(nothing was tagged)"),
        ({"dry_run": False, "in_engine": False}, "(nothing was written)"),
    ],
)
def test_what_did_not_happen_is_what_was_asked_for(more: dict[str, bool], words: str) -> None:
    """Who wanted a file is not told of names in an engine."""
    assert f"app:1.4 -> {words}" in render(report(**more))


def test_control_characters_never_reach_the_terminal() -> None:
    """An image may hold a file whose name clears the screen."""
    text = render(report(), every_change=True)

    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b[2J.so" in text


def test_what_was_put_back_is_told() -> None:
    """With the reason, beside the checks, which all passed in the end."""
    text = render(report(restored=(Restored("usr/lib/a.so", "check loads failed without it: exit status 73"),)))

    assert "put back  /usr/lib/a.so: check loads failed without it: exit status 73" in " ".join(text.split("\n"))


def test_an_unverified_result_says_so_loudly() -> None:
    """--no-verify is not silent."""
    assert "NOT VERIFIED" in render(report(unverified=True))


def test_the_report_is_the_contract(tmp_path: Path) -> None:
    """The JSON has the keys of slimmer-report/1, and names that are not UTF-8 do not break it."""
    path = tmp_path / "r.json"
    write(report(dry_run=True), path)
    loaded = json.loads(path.read_text("utf-8"))

    assert loaded["schema"] == "slimmer-report/1"
    assert set(loaded) >= {"slimmer", "dry_run", "source", "result", "estimate", "saved", "rules", "changes", "kept"}
    assert set(loaded) >= {"linkage", "checks", "restored", "timings"}
    assert loaded["saved"] == 4_000_000
    assert loaded["rules"][0] == {"name": "strip", "files": 1, "saved": 4_000_000}
    assert loaded["result"] is None
    assert list(tmp_path.iterdir()) == [path]


def test_printable_escapes_what_no_terminal_should_see() -> None:
    """Control characters, undecodable bytes and direction marks are shown, not obeyed."""
    assert printable("a\n\x1b\udcff\u202eü") == "a\\n\\x1b\\udcff\\u202eü"
