from __future__ import annotations

import pytest

from slimmer import rules
from slimmer.errors import UsageError
from slimmer.plan import Turn

DEFAULT = ["apt_cache", "conda_pkgs", "pip_cache", "strip", "tmp_files", "uv_cache"]
CHOSEN = ["build_tools", "duplicates", "gpu_code", "static_archives", "uv_binary"]


def test_rules_are_found_by_being_there() -> None:
    """Every module of the package is a rule of the same name, with a summary."""
    assert [rule.name for rule in rules.discover()] == sorted(DEFAULT + CHOSEN)
    assert all(rule.summary for rule in rules.discover())


def test_rules_take_their_turns() -> None:
    """Compilers go before it is asked whether one is left, contents are replaced before files are compared."""
    turns = {rule.name: rule.turn for rule in rules.discover()}

    assert turns["build_tools"] == Turn.PACKAGES < turns["static_archives"] == turns["uv_cache"] == Turn.FILES
    assert Turn.FILES < turns["strip"] == Turn.CONTENTS < turns["duplicates"] == Turn.LINKS


def test_only_and_skip_choose() -> None:
    """--only names all that is applied, --skip takes away."""
    assert [rule.name for rule in rules.choose((), (), ())] == DEFAULT
    assert [rule.name for rule in rules.choose(("strip",), (), ())] == ["strip"]
    assert [rule.name for rule in rules.choose((), (), ("strip",))] == [name for name in DEFAULT if name != "strip"]
    assert [rule.name for rule in rules.choose((), ("duplicates",), ())] == sorted([*DEFAULT, "duplicates"])


@pytest.mark.parametrize(("name", "hint"), [("stirp", "did you mean strip"), ("zzz", "there are: apt_cache")])
def test_a_name_that_is_no_rule_is_refused(name: str, hint: str) -> None:
    """A typo gets the nearest right name."""
    with pytest.raises(UsageError, match=hint):
        rules.choose((), (), (name,))
