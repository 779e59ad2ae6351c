"""TraceLink: where people look into the assessment that an alert comes from.

Azure's portal opens a query that stands in an address: gzip, then base64, then percent-encoding,
as its own "Share link to query" writes it. The query finds everything of one trace, whose ID is the
activity ID without its hyphens.
"""

import base64
import gzip
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

PORTALS: Final = {
    "AZURE_PUBLIC_CLOUD": "https://portal.azure.com",
    "AZURE_US_GOVERNMENT": "https://portal.azure.us",
    "AZURE_CHINA_CLOUD": "https://portal.azure.cn",
}
"""The portal of each of Azure's clouds."""
_QUERY: Final = (
    "union requests, dependencies, traces, customEvents, exceptions\n"
    '| where operation_Id == "{trace}"\n'
    "| order by timestamp asc"
)
_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class TraceLink:
    """Makes `investigationLink`.

    Attributes:
        portal: the origin of the cloud's portal.
        component: the resource ID of the Application Insights component; None if nobody told it.
    """

    portal: str = PORTALS["AZURE_PUBLIC_CLOUD"]
    component: str | None = None

    def of(self, activity_id: str | None) -> str | None:
        """Returns the address of an assessment's trace; None where there is none."""
        trace = "".join(each for each in activity_id or "" if each in "0123456789abcdefABCDEF")
        if self.component is None or len(trace) != 32:  # noqa: PLR2004 - a trace ID's hex digits
            return None
        packed = gzip.compress(_QUERY.format(trace=trace.lower()).encode(), mtime=0)
        return (
            f"{self.portal}/#blade/Microsoft_Azure_Monitoring_Logs/LogsBlade"
            f"/resourceId/{quote(self.component, safe='')}"
            "/source/LogsBlade.AnalyticsShareLinkToQuery"
            f"/q/{quote(base64.b64encode(packed), safe='')}"
            f"/timespan/P{_DAYS}D"
        )


NO_LINK: Final = TraceLink()
"""Where nobody told the component."""
