from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "slimmer"

# What a module may import lies below it. Modules on one line know nothing of each other, but for the packages' own parts.
ORDER = [
    ["cli"],
    ["api"],
    ["terminal", "listing", "inventory", "reports", "gputable"],
    ["inspection", "gpu_inspection"],
    ["slim", "survey", "rollback"],
    ["laboratory"],
    ["summary"],
    ["report"],
    ["attempts"],
    ["trial", "healing"],
    ["reading"],
    ["propose", "debug", "putback"],
    ["rules", "transports", "checks"],
    ["metadata", "naming", "session", "containers", "room"],
    ["plan", "engine", "formats"],
    ["elf", "dependents"],
    ["commands", "users"],
    ["flattening"],
    ["rootfs"],
    ["changeset", "layer_writer"],
    ["layer_tree", "readahead"],
    ["layer", "image", "reference", "platforms", "temporary", "once"],
    ["tar_members", "inode"],
    ["cursor"],
    [
        "content",
        "rawjson",
        "interrupts",
        "progress",
        "settings",
        "source_date",
        "tar_header",
        "native_gpus",
        "headroom",
    ],
    ["pieces"],
    ["blobs", "runs", "ahead", "asking", "beside", "connecting", "residency"],
    ["gates", "configuration", "chunks"],
    ["errors"],
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "probes" not in path.parts)


def imported(path: Path) -> set[str]:
    """Give the names below slimmer that a module imports, those for type checking only too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "slimmer":
            found |= {alias.name for alias in node.names if alias.name in LEVEL}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("slimmer."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("slimmer.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    """A module imports what lies below it, or a part of its own package; nothing above and nothing beside."""
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own in {"__init__", "__main__"}:
        return

    wrong = {name for name in imported(path) if name != own and LEVEL[name] <= LEVEL[own]}

    assert not wrong, f"{own} imports {wrong}"


@pytest.mark.parametrize(
    ("library", "owner"),
    [("click", ["cli"]), ("tqdm", ["terminal"]), ("docker", ["asking", "connecting", "containers", "engine"])],
)
def test_a_library_has_one_importer(library: str, owner: list[str]) -> None:
    """The terminal and the engine are each known to one module."""
    importers = [
        path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == library for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == library)
    ]

    assert sorted(set(importers)) == owner


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_stays_readable(path: Path) -> None:
    """No module has more than 300 lines."""
    assert len(path.read_text("utf-8").splitlines()) <= 300


def test_rules_open_no_file_for_writing() -> None:
    """A rule decides; it does not write."""
    for path in (PACKAGE / "rules").glob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        names = {func.id if isinstance(func, ast.Name) else getattr(func, "attr", "") for func in calls}
        assert not names & {"open", "write", "write_bytes", "write_text", "run", "Popen"}, path
