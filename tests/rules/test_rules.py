from __future__ import annotations

import pytest

from slimmer import rules
from slimmer.errors import UsageError


def test_rules_are_found_by_being_there() -> None:
    """Every module of the package is a rule of the same name, with a summary."""
    assert [rule.name for rule in rules.discover()] == ["strip", "uv_cache"]
    assert all(rule.summary for rule in rules.discover())


def test_only_and_skip_choose() -> None:
    """--only names all that is applied, --skip takes away."""
    assert [rule.name for rule in rules.choose((), (), ())] == ["strip", "uv_cache"]
    assert [rule.name for rule in rules.choose(("strip",), (), ())] == ["strip"]
    assert [rule.name for rule in rules.choose((), (), ("strip",))] == ["uv_cache"]


@pytest.mark.parametrize(("name", "hint"), [("stirp", "did you mean strip"), ("zzz", "there are: strip, uv_cache")])
def test_a_name_that_is_no_rule_is_refused(name: str, hint: str) -> None:
    """A typo gets the nearest right name."""
    with pytest.raises(UsageError, match=hint):
        rules.choose((), (), (name,))
