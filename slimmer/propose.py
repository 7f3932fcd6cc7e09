"""From rules to a plan: every rule is asked, package databases stay true, and what would break a link is taken back."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.elf.linking.linkage import Unresolved, link
from slimmer.elf.linking.losses import broken
from slimmer.errors import SlimmerError
from slimmer.metadata import amendments
from slimmer.plan import Draft, EarlyRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from slimmer.content import Content
    from slimmer.elf.linking.linkage import Binding, Linkage
    from slimmer.plan import Plan, Rule, Scene, Veto
    from slimmer.rootfs import Rootfs


_MAX_TRIES = 8


@dataclass(frozen=True, slots=True)
class Links:
    """What the objects of the image bind to: counts of the result, and what is without an answer, before and after."""

    objects: int
    symbols: int
    provided_by_process: int
    unresolved_before: tuple[Unresolved, ...]
    unresolved_after: tuple[Unresolved, ...]


def linked(scene: Scene) -> Linkage:
    """Give what the objects of an image bind to."""
    with scene.progress.stage("linking", None, "object") as stage:
        linkage = link(scene.rootfs, scene.config.env)
        stage.advance(linkage.objects)
    return linkage


def foresee(rules: Sequence[Rule], files: Iterable[tuple[str, Content]], scene: Scene) -> None:
    """Let those of RULES begin with FILES that can: their work is done in the scene's workshop beside all else."""
    for rule in rules:
        if isinstance(rule, EarlyRule):
            rule.foresee(files, scene)


def propose(
    scene: Scene,
    rules: Sequence[Rule],
    exclude: Sequence[str],
    linkage: Linkage | None = None,
    restored: Mapping[str, str] | None = None,
) -> tuple[Plan, Links]:
    """Ask every rule and give what its decisions add up to, and what the objects of the result bind to.

    LINKAGE is of the scene, where it is known already. RESTORED are paths that must stay as they are with all below
    them, each with its reason.

    EXCLUDE are globs over absolute paths; `*` matches `/` too, and a directory stands for all that is below it.
    Whatever takes a library or a symbol from an object that had it before is vetoed, and the rules are asked again.
    """
    env = scene.config.env
    before = linkage or linked(scene)
    vetoes: dict[str, str] = {}

    def veto(path: str) -> str | None:
        return _excluding(path, exclude) or _restoring(path, restored or {}) or vetoes.get(path)

    for _ in range(_MAX_TRIES):
        planned = _planned(scene, rules, veto)
        after = link(planned.result, env, before)
        lost = broken(before, after)
        if not lost:
            counts = after.objects, after.symbols, after.provided_by_process
            return planned, Links(*counts, before.unresolved, after.unresolved)
        found = _vetoes(lost, before, scene.rootfs, planned.result)
        if found.keys() <= vetoes.keys():
            found = _link_vetoes(lost, scene.rootfs, planned.result)
        vetoes.update(found)
    raise SlimmerError(f"/{lost[0][0]} would lose what it links to whatever is kept: {lost[0][1]}; please report this")


def _vetoes(lost: Sequence[tuple[str, str]], before: Linkage, source: Rootfs, result: Rootfs) -> dict[str, str]:
    """Give the paths that must stay as they are: the objects that lost something, and what they lost it with."""
    found: dict[str, str] = {}
    links = _gone_links(source, result)
    for path, sentence in lost:
        binding = before.bindings[path]
        providers = {*binding.needed.values(), *binding.bound, *binding.provided}
        gone = (provider for provider in providers if provider is not None and provider not in result)
        for place in (path, *gone, *_lost_names(binding, links, source, result)):
            found.setdefault(place, f"linkage: /{path} needs {sentence}")
    return found


def _lost_names(binding: Binding, links: Sequence[str], source: Rootfs, result: Rootfs) -> Iterator[str]:
    """Give those of LINKS, which are gone, by which an object found a library that may be there all the same."""
    for name, provider in binding.needed.items():
        if provider is not None and provider in result:
            last = name.rpartition("/")[2]
            yield from (path for path in links if path.rpartition("/")[2] == last and source.resolve(path) == provider)


def _gone_links(source: Rootfs, result: Rootfs) -> list[str]:
    return [path for path, _ in source.symlinks() if path not in result]


def _link_vetoes(lost: Sequence[tuple[str, str]], source: Rootfs, result: Rootfs) -> dict[str, str]:
    """Give every symlink that is gone: a directory of libraries may have been reached through any of them."""
    return dict.fromkeys(
        _gone_links(source, result), f"linkage: /{lost[0][0]} needs {lost[0][1]}, which a symlink leads to"
    )


def _planned(scene: Scene, rules: Sequence[Rule], veto: Veto) -> Plan:
    draft = Draft(scene.rootfs, veto)
    for rule in sorted(rules, key=lambda rule: (rule.turn, rule.name)):
        before = draft.rootfs
        draft.decide(rule.name, rule.propose(replace(scene, rootfs=before, veto=veto)))
        draft.decide(rule.name, amendments(before, *draft.since(before)), files=0)
    return draft.plan(tuple(sorted(rule.name for rule in rules)))


def _restoring(path: str, restored: Mapping[str, str]) -> str | None:
    """Give the reason for which PATH, or a directory above it, was put back, or None."""
    if not restored:
        return None
    parts = path.split("/")
    above = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((restored[candidate] for candidate in above if candidate in restored), None)


def _excluding(path: str, exclude: Sequence[str]) -> str | None:
    """Give the reason for which one of the globs EXCLUDE keeps PATH, or None."""
    if not exclude:
        return None
    parts = ("/" + path).split("/")
    above = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
    for glob in exclude:
        anchored = glob if glob.startswith(("/", "*")) else "/" + glob
        if any(fnmatch.fnmatchcase(candidate, anchored.rstrip("/")) for candidate in above):
            return f"excluded by --exclude {glob}"
    return None
