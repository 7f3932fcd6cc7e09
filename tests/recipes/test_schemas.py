"""Each recipe against the schema of what reads it: GitHub's and GitLab's as SchemaStore publishes them."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
VENDORED = files("check_jsonschema") / "builtin_schemas" / "vendor"
TEKTON = Path(__file__).parent / "tekton-task-v1.json"


class Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, as those who read recipes have them: `on` is a key of GitHub's."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loaded(name: str) -> Any:
    """Give a recipe."""
    return yaml.load((ROOT / name).read_text("utf-8"), Loader)  # noqa: S506 - a SafeLoader


@pytest.mark.parametrize(
    ("recipe", "schema"),
    [
        ("action.yml", (VENDORED / "github-actions.json").read_text("utf-8")),
        ("recipes/github-workflow.yml", (VENDORED / "github-workflows.json").read_text("utf-8")),
        ("recipes/gitlab-ci.yml", (VENDORED / "gitlab-ci.json").read_text("utf-8")),
        ("recipes/tekton-task.yaml", TEKTON.read_text("utf-8")),
    ],
    ids=["action", "workflow", "gitlab", "tekton"],
)
def test_a_recipe_is_what_its_reader_expects(recipe: str, schema: str) -> None:
    """And the schema would say so if it were not."""
    rules, recipe_data = json.loads(schema), loaded(recipe)
    validator = jsonschema.validators.validator_for(rules)(rules)

    assert [error.message for error in validator.iter_errors(recipe_data)] == []
    broken = json.loads(json.dumps(recipe_data))
    if recipe == "action.yml":
        del broken["runs"]["steps"][0]["shell"]
    elif "workflow" in recipe:
        broken["jobs"]["image"]["steps"] = {}
    elif "gitlab" in recipe:
        broken["slim"]["artifacts"]["when"] = "sometimes"
    else:
        broken["spec"]["steps"][0]["scripts"] = "x"
    assert list(validator.iter_errors(broken))


def test_the_workflow_names_inputs_and_outputs_that_the_action_has() -> None:
    """An input of another name would be passed over with a warning that nobody reads."""
    action = loaded("action.yml")
    steps = loaded("recipes/github-workflow.yml")["jobs"]["image"]["steps"]
    (step,) = [step for step in steps if "slimmer@" in step.get("uses", "")]

    assert set(step["with"]) <= set(action["inputs"])
    assert "steps.slimmer.outputs.image" in json.dumps(steps)
    assert "image" in action["outputs"]
