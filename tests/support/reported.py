"""A report with one of everything, hostile names among them, made of a real root."""

from __future__ import annotations

from slimmer.blobs import Bytes
from slimmer.checks import Examined, Verdict
from slimmer.content import Content
from slimmer.gates import Gates
from slimmer.pieces import Piece
from slimmer.plan import Draft, Keep, Remove, Replace
from slimmer.propose import Links
from slimmer.report import Estimate, Report, SourceFacts

from handmade import directory, file, flattened, hard_link

HOSTILE = "</script><img src=x onerror=alert(1)>`|@everyone\x1b[2J\u202e"


def reported(files: int = 30, **more: object) -> Report:
    """Give the report of a root with FILES small files, a cache that is linked to what is installed, and a library."""
    root = flattened([
        directory("cache"), file("cache/wheel", b"w" * 40_000), file("cache/only", b"c" * 20_000),
        directory("lib"), hard_link("lib/installed", "cache/wheel"), file("lib/big.so", b"b" * 100_000),
        directory("many"), *(directory(f"many/{number}") for number in range(files // 100 + 1)),
        *(file(f"many/{number // 100}/{number:06}.py", b"#" * (number % 7 + 1)) for number in range(files)),
        directory("odd"), file(f"odd/{HOSTILE.replace('/', '')}", b"o" * 5_000),
    ])  # fmt: skip
    draft = Draft(root, lambda _: None)
    draft.decide("uv_cache", [Remove("cache", "a cache")])
    draft.decide("strip", [Replace("lib/big.so", Content([Piece(Bytes(b"b" * 60_000), 0, 60_000)]), "layout")])
    small = [path for path, _ in root.files() if path.startswith("many/")]
    draft.decide("duplicates", [Remove(path, "small") for path in small[: files // 2]])
    draft.decide("strip", [Keep(path, "less than 4096 bytes to save") for path in small[files // 2 :]])
    draft.decide("strip", [Keep(f"odd/{HOSTILE.replace('/', '')}", f"why {HOSTILE}")])
    plan = draft.plan(("duplicates", "strip", "uv_cache"))
    size = root.size()
    checks = (
        Examined("config", Verdict("passed", "18 keys", "18 keys", "18 keys are the same"), 0.01),
        Examined("torch_matmul", Verdict("failed", f"1.5\n{HOSTILE}", "2.5\nnan", "results differ", 3), 4.2),
    )
    facts: dict[str, object] = {
        "source": SourceFacts("app:1.4", "sha256:1", size + 1000, size, 3, "linux/amd64"),
        "plan": plan,
        "links": Links(3, 5, 1, (), ()),
        "estimate": Estimate(plan.result.size(), plan.layer_size(), 70_000),
        "checks": checks,
        "gates": Gates("1kB", "5%").passages(size + 1000, plan.result.size()),
        "timings": {"read": 1.5, "plan": 0.2},
        **more,
    }
    return Report(**facts)  # type: ignore[arg-type]
