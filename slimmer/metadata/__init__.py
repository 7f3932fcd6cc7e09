"""What package managers note of files: kept true when a file changes or goes, and asked before it does.

An amender is a function `amend(before, changed, removed)`: it knows one kind of database and proposes the changes that
make it true again. `owners` names the files of databases that cannot be written, `licences` those that may not be
changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.metadata import dpkg_md5sums, pip_record
from slimmer.plan import Replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from slimmer.content import Content
    from slimmer.plan import Keep
    from slimmer.rootfs import Rootfs

# The order matters: a Debian package may hold a RECORD, and its sum is of the amended one.
_AMENDERS = (pip_record.amend, dpkg_md5sums.amend)


def amendments(
    before: Rootfs, changed: Mapping[str, Content], removed: Collection[str] = ()
) -> Iterator[Replace | Keep]:
    """Give what has to change in the databases of package managers once CHANGED is so, and why something cannot.

    CHANGED has every name of every file whose content is replaced, with its new content, REMOVED every path that goes;
    BEFORE still has the old ones.
    """
    known = dict(changed)
    for amend in _AMENDERS:
        replaced: dict[str, Content] = {}
        for decision in amend(before, known, removed):
            if isinstance(decision, Replace):
                replaced |= dict.fromkeys(before.names(decision.path), decision.content)
            yield decision
        known |= replaced
