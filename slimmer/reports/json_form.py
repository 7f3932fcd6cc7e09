"""`.json`: the contract `slimmer-report/1`, for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimmer.report import Report


class JsonForm:
    """The form."""

    suffix = ".json"

    def render(self, report: Report) -> str:
        """Give the facts as the contract has them."""
        return json.dumps(report.as_json(), ensure_ascii=False, indent=1) + "\n"


form = JsonForm()
