"""The script part of each recipe, run for real: slimmer is installed from this checkout, the engine slims an image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from handmade import directory, file, make_tar

if TYPE_CHECKING:
    from docker_cli import Docker

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parent.parent.parent
NAME, SLIM = "slimmer-test/recipe:1", "slimmer-test/recipe:1-slim"


@pytest.fixture
def image(docker: Docker) -> str:
    """Give an image of which half is a cache."""
    docker.will_make(SLIM)
    cache = "root/.cache/uv"
    docker.image(NAME, [make_tar(
        file("data", b"d" * 50_000), directory("root"), directory("root/.cache"), directory(cache),
        file(f"{cache}/CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55\n"),
        directory(f"{cache}/archive-v0"), file(f"{cache}/archive-v0/wheel", b"w" * 50_000),
    )])  # fmt: skip
    return NAME


def loaded(name: str) -> Any:
    """Give a recipe."""
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def run(script: str, directory: Path, env: dict[str, str], shell: str = "bash") -> subprocess.CompletedProcess[str]:
    """Run a script as a pipeline's service would: in its own directory, ended by the first command that fails."""
    options = ["--noprofile", "--norc", "-eo", "pipefail"] if shell == "bash" else ["-e"]
    return subprocess.run(
        [shell, *options, "-c", script], cwd=directory, capture_output=True, text=True, check=False,
        env={**os.environ, **env},
    )  # fmt: skip


class Action:
    """The composite action, as a runner carries it out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = {"RUNNER_TEMP": str(directory / "temp"), "GITHUB_ACTION_PATH": str(ROOT)}
        self.env |= {name: str(directory / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        (directory / "temp").mkdir()
        self.action = loaded("action.yml")
        self.install, self.slim = self.action["runs"]["steps"]

    def __call__(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run the step that slims with these inputs; `_` in a name stands for `-`."""
        values = {name: one.get("default", "") for name, one in self.action["inputs"].items()}
        values |= {name.replace("_", "-"): value for name, value in inputs.items()}

        def evaluated(text: str) -> str:
            return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: values[found[1]], text)

        assert "${{" not in self.slim["run"]
        env = {name: evaluated(text) for name, text in self.slim["env"].items()}
        return run(self.slim["run"], self.directory, {**self.env, **env})


def test_the_action_slims_and_tells(docker: Docker, tmp_path: Path, image: str) -> None:
    """Outputs and a summary on success; exit 6, a summary and no output where a gate is shut; inputs are no commands."""
    action = Action(tmp_path)
    installed = run(action.install["run"], tmp_path, action.env)
    assert installed.returncode == 0, installed.stderr

    done = action(image=image, max_size="60kB", options="--skip\nstrip")

    assert done.returncode == 0, done.stderr
    outputs = dict(line.split("=", 1) for line in (tmp_path / "github_output").read_text("utf-8").splitlines())
    assert outputs == {"id": docker.inspect(SLIM)["Id"], "image": SLIM}
    assert f"`{NAME}`" in (tmp_path / "github_step_summary").read_text("utf-8")
    assert (tmp_path / "slimmer.html").read_text("utf-8").startswith("<!doctype html>")

    docker("rmi", SLIM)
    (tmp_path / "github_output").unlink()
    shut = action(image=image, max_size="10kB")
    assert shut.returncode == 6
    assert "GATE FAILED" in (tmp_path / "github_step_summary").read_text("utf-8")
    assert not (tmp_path / "github_output").exists()
    assert not docker.has(SLIM)
    assert action(image=f"$(touch {tmp_path}/taken)").returncode == 4
    assert action(image="--version").returncode == 4
    assert not (tmp_path / "taken").exists()


def saved(docker: Docker, image: str, path: Path) -> None:
    """Leave an image as the build before the recipe does."""
    path.write_bytes(docker.bytes_of("save", image))


def manifest(path: Path) -> Any:
    """Give what an archive says of its image."""
    with tarfile.open(path) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        return json.load(member)


def test_the_gitlab_job_slims_an_archive(docker: Docker, tmp_path: Path, image: str) -> None:
    """Its lines, its variables; the engine is the one here in place of the service."""
    job = loaded("recipes/gitlab-ci.yml")["slim"]
    saved(docker, image, tmp_path / "app.tar")
    env = {name: str(value) for name, value in job["variables"].items() if not name.startswith("DOCKER_")}

    done = run("\n".join(job["script"]), tmp_path, {**env, "SLIMMER_SOURCE": str(ROOT)})

    assert done.returncode == 0, done.stderr
    for path in job["artifacts"]["paths"]:
        assert (tmp_path / path).stat().st_size > 0
    (described,) = manifest(tmp_path / "app-slim.tar")
    assert described["RepoTags"] == [SLIM]
    assert len(described["Layers"]) == 1


def test_the_tekton_step_slims_an_archive(docker: Docker, tmp_path: Path, image: str) -> None:
    """Its script with its environment, every parameter put in as Tekton does; the ID is its result."""
    spec = loaded("recipes/tekton-task.yaml")["spec"]
    (step,) = spec["steps"]
    values = {f"params.{param['name']}": param["default"] for param in spec["params"]}
    values |= {"params.slimmer": str(ROOT), "results.id.path": str(tmp_path / "id"), "params.min-saving": "40%"}
    assert "$(params" not in step["script"]
    env = {
        one["name"]: re.sub(r"\$\(([\w.-]+)\)", lambda found: values[found[1]], one["value"])
        for one in step["env"]
        if one["name"] != "DOCKER_HOST"
    }
    saved(docker, image, tmp_path / "app.tar")

    script = step["script"].replace("/tmp/slimmer", str(tmp_path / "venv"))  # noqa: S108 - the step's own
    done = run(script, tmp_path, env, "sh")

    assert done.returncode == 0, done.stderr
    (described,) = manifest(tmp_path / "app-slim.tar")
    assert (tmp_path / "id").read_text("utf-8") == "sha256:" + Path(described["Config"]).name.removesuffix(".json")


def test_only_what_passed_is_pushed(docker: Docker, tmp_path: Path, image: str) -> None:
    """The line before a push pushes the result by its name, and nothing when a gate is shut."""
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PUSH": "echo pushed"}
    script = ROOT / "recipes" / "push.sh"

    shut = run(f"{script} {image} --max-size 10kB", tmp_path, env)
    done = run(f"{script} {image} --max-size 60kB", tmp_path, env)

    assert (shut.returncode, shut.stdout) == (6, "")
    assert (done.returncode, done.stdout) == (0, f"pushed {SLIM}\n"), done.stderr
    assert docker.has(SLIM)
