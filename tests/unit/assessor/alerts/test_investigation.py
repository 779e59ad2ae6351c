"""investigationLink: the address of an assessment's trace in the portal."""

import base64
import gzip
import json
from urllib.parse import unquote

import pytest

from assessor.alerts.investigation import NO_LINK, TraceLink
from assessor.alerts.message import AlertStyle, alert_message
from assessor.settings import SettingsError, read_settings
from tests.support.alerts import example_alerts
from tests.support.builders import ACTIVITY_ID

BUS = {"ServiceBus__fullyQualifiedNamespace": "example.servicebus.windows.net"}
COMPONENT = (
    "/subscriptions/e37510d7-33b6-4676-886f-ee75bcc01871/resourceGroups/ops"
    "/providers/Microsoft.Insights/components/patch-assessor"
)


@pytest.mark.parametrize("activity_id", [ACTIVITY_ID, ACTIVITY_ID.upper(), f"X{ACTIVITY_ID}X"])
def test_the_address_names_the_component_and_a_query_of_the_trace(activity_id: str) -> None:
    """As the portal's own "Share link to query" does: gzip, base64, percent-encoding.

    The trace is named by the ID's hex digits alone, in lower case, however ARM writes it.
    """
    link = TraceLink("https://portal.azure.us", COMPONENT).of(activity_id)
    assert link is not None
    address, _, query = link.partition("/q/")
    assert address == (
        "https://portal.azure.us/#blade/Microsoft_Azure_Monitoring_Logs/LogsBlade/resourceId/"
        + COMPONENT.replace("/", "%2F")
        + "/source/LogsBlade.AnalyticsShareLinkToQuery"
    )
    encoded, *rest = query.split("/")
    assert rest == ["timespan", "P30D"]
    packed = base64.b64decode(unquote(encoded))
    assert packed[4:8] == bytes(4), "no time of making: a repeat has the same address"
    assert gzip.decompress(packed).decode() == (
        "union requests, dependencies, traces, customEvents, exceptions\n"
        f'| where operation_Id == "{ACTIVITY_ID.replace("-", "")}"\n'
        "| order by timestamp asc"
    )


@pytest.mark.parametrize("activity_id", [None, "", "not-an-id", 'x" | take 1'])
def test_what_is_no_activity_id_has_no_address(activity_id: str | None) -> None:
    """An ID of ARM's could be anything: nothing of it that is no hex digit gets into the query."""
    assert TraceLink(component=COMPONENT).of(activity_id) is None


def test_without_a_component_there_is_no_link() -> None:
    """The field is absent, not null."""
    assert NO_LINK.of(ACTIVITY_ID) is None
    alert = example_alerts()["alert-fired"]
    known = AlertStyle(link=TraceLink(component=COMPONENT))
    essentials = [
        json.loads(alert_message(alert, style=style).body)["data"]["data"]["essentials"]
        for style in (AlertStyle(), known)
    ]
    assert "investigationLink" not in essentials[0]
    assert essentials[1]["investigationLink"].startswith("https://portal.azure.com/")


def test_the_setting_is_the_components_resource_id() -> None:
    """Anything else stops the app, which would link nowhere."""
    name = "APPLICATIONINSIGHTS_RESOURCE_ID"
    assert read_settings(BUS).insights_component is None
    assert read_settings(BUS | {name: COMPONENT}).insights_component == COMPONENT
    with pytest.raises(SettingsError, match=f"{name} must be the resource ID"):
        read_settings(BUS | {name: "patch-assessor"})
