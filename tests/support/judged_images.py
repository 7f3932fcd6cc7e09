"""What slimmer makes of an image that nobody vouches for: it is slimmed or refused, and what is written of it is harmless."""

from __future__ import annotations

import re
import tarfile
import traceback
from typing import TYPE_CHECKING

from slimmer import api, reports
from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.flattening import flatten
from slimmer.layer import read_layer
from slimmer.rules import discover
from slimmer.summary import render

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.report import Report

CONTROLS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal may obey, a page may turn round, and UTF-8 cannot say; line ends are the form's own."""


def image_findings(reference: str, output: Path) -> tuple[list[str], str]:
    """Slim an image with every rule that needs no choice, to an archive OUTPUT; give what is wrong, and how it ended."""
    also = [rule.name for rule in discover() if rule.name != "gpu_code"]
    try:
        report = api.run(reference, output=f"docker-archive:{output}:app:slim", verify=False, also=also)
    except SourceError as error:
        return ([] if str(error) else ["a refusal without a word"]), "refused"
    except Exception as error:  # noqa: BLE001 - whatever it is, the run would end as a fault of slimmer's own
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"{error!r:.300} in {where.name}, {where.filename.rpartition('/')[2]}:{where.lineno}"], "failed"
    return [*_in_reports(report), *_in_layer(report, output)], "slimmed"


def _in_reports(report: Report) -> list[str]:
    found = []
    for name, form in {**reports.discover(), "summary": None}.items():
        try:
            text = form.render(report) if form is not None else render(report, every_change=True)
            text.encode()
        except Exception as error:  # noqa: BLE001 - the same
            found.append(f"{name}: {error!r:.300}")
            continue
        if (control := CONTROLS.search(text)) is not None and name != ".html":
            found.append(f"{name} has {control[0]!r} in {text[max(control.start() - 60, 0) : control.end() + 20]!r}")
    return found


def _in_layer(report: Report, output: Path) -> list[str]:
    """Read the layer that was written back: it must say what was planned, and have the length that was said."""
    with tarfile.open(output) as archive:
        member = archive.extractfile("0/layer.tar")
        assert member is not None
        data = member.read()
    if len(data) != report.estimate.layer_size:
        return [f"the layer has {len(data)} bytes, and {report.estimate.layer_size} were said"]
    try:
        back = flatten([("result", read_layer(Content.of(data), "result"))])
    except SourceError as error:
        return [f"the layer cannot be read back: {error}"]
    planned = report.plan.result
    for path, inode in planned.entries():
        found = back.get(path)
        if found is None:
            return [f"{path!r} is not in the layer"]
        for field in ("kind", "mode", "uid", "gid", "mtime", "size", "target", "device", "xattrs"):
            if getattr(found, field) != getattr(inode, field):
                return [
                    f"{path!r} has the {field} {getattr(found, field)!r} in the layer, not {getattr(inode, field)!r}"
                ]
    return [f"the layer has {len(back)} paths, not {len(planned)}"] if len(back) != len(planned) else []
