"""CONTRIBUTING.md is followed to the letter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import slimmer

ROOT = Path(__file__).parent.parent


def test_a_rule_is_one_file(tmp_path: Path) -> None:
    """The rule of the text, put beside the others, is listed; the test of the text passes; both are in the house's style."""
    rule, test = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    package = tmp_path / "slimmer"
    shutil.copytree(Path(slimmer.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "rules" / "git_directories.py").write_text(rule)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_git_directories.py").write_text(test)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'tests' / 'support'}"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    listed = run("slimmer", "rules")
    tested = run("pytest", "-q", "tests/test_git_directories.py")
    checked = run("ruff", "check", str(package / "rules" / "git_directories.py"), "tests")

    assert re.search(r"^git_directories +off +repositories of git", listed.stdout, re.MULTILINE), listed
    assert "3 passed" in tested.stdout, tested.stdout + tested.stderr
    assert checked.returncode == 0, checked.stdout
