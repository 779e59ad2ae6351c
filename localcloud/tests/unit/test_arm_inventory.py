"""What the local ARM tells of subscriptions, locations and resource groups."""

import pytest

from localcloud.arm.inventory import cloud_metadata, inventory
from localcloud.arm.scenario import parse_vm

FIRST = "11111111-2222-4333-8444-555555555555"
SECOND = "AAAAAAAA-2222-4333-8444-555555555555"
VMS = [
    parse_vm(
        {
            "id": f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.Compute/virtualMachines/{group}-vm",
            "location": location,
        }
    )
    for subscription, group, location in (
        (FIRST, "rg-Web", "eastus"),
        (FIRST, "rg-db", "westeurope"),
        (SECOND, "rg-db", "westeurope"),
    )
]


def _names(path: str, field: str = "name") -> list[object]:
    told = inventory(path, VMS)
    assert told is not None
    return [each[field] for each in told["value"]]


def test_subscriptions_are_those_of_the_fleet() -> None:
    """In lower case, as ARM writes them; each of them by itself too."""
    assert _names("/subscriptions", "subscriptionId") == [FIRST, SECOND.lower()]
    one = inventory(f"/subscriptions/{SECOND}", VMS)
    assert one is not None
    assert one["state"] == "Enabled"
    assert _names("/tenants/", "tenantId") == [one["tenantId"]]


def test_groups_and_locations_are_those_of_the_subscriptions_vms() -> None:
    """A group by its name in any case."""
    assert _names(f"/subscriptions/{FIRST}/resourcegroups") == ["rg-db", "rg-Web"]
    assert _names(f"/subscriptions/{FIRST}/locations") == ["eastus", "westeurope"]
    group = inventory(f"/subscriptions/{FIRST}/resourceGroups/RG-WEB", VMS)
    assert group is not None
    assert (group["name"], group["location"]) == ("rg-Web", "eastus")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/providers",
        "/subscriptions/99999999-2222-4333-8444-555555555555",
        f"/subscriptions/{FIRST}/resourcegroups/none",
        f"/subscriptions/{FIRST}/locations/eastus",
        f"/subscriptions/{FIRST}/providers/Microsoft.Compute/virtualMachines",
    ],
)
def test_what_there_is_none_of_is_left_to_others(path: str) -> None:
    """Who answer 404, or what the path names."""
    assert inventory(path, VMS) is None


def test_the_clouds_metadata_leads_to_this_arm_and_its_audience() -> None:
    """What `az cloud register` wants: a name, a sign-in, an audience that a token may be for."""
    metadata = cloud_metadata("https://localhost:1234")
    assert metadata["resourceManager"] == "https://localhost:1234/"
    assert metadata["authentication"]["loginEndpoint"] == "https://localhost:1234"
    assert metadata["authentication"]["audiences"][0] == "https://management.azure.com/"
    assert metadata["suffixes"] == {}
