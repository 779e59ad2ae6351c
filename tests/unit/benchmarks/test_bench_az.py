"""What the Azure CLI is given to work with where the benchmarks compare with it."""

import json
from configparser import ConfigParser
from pathlib import Path

import pytest

from benchmarks.ways.az import (
    ArmAddress,
    AzFailedError,
    AzProcess,
    AzUsage,
    MissingAzError,
    check_result,
    cloud,
    environment,
    profile,
)

SUBSCRIPTION = "8c0bb04e-7a3b-4a4f-9d49-6a3e0f1d2b11"
OTHER = "e37510d7-33b6-4676-886f-ee75bcc01871"
COMMAND = ("vm", "assess-patches", "--ids", "/subscriptions/1")
READY = {
    "armEndpoint": "https://localhost:4001",
    "caFile": "ca.pem",
    "identityEndpoint": "http://127.0.0.1:4002/msi/token",
    "identityHeader": "shown-there",
    "controlUrl": "http://127.0.0.1:4003",
}
ARM = ArmAddress.of(READY)


def test_the_profile_is_signed_in_to_each_subscription_by_the_managed_identity() -> None:
    """As `az login --identity` leaves it; one of them is the default."""
    accounts = profile([SUBSCRIPTION, OTHER, SUBSCRIPTION])["subscriptions"]
    assert [each["id"] for each in accounts] == [SUBSCRIPTION, OTHER]
    assert [each["isDefault"] for each in accounts] == [True, False]
    for each in accounts:
        assert each["user"] == {
            "name": "systemAssignedIdentity",
            "type": "servicePrincipal",
            "assignedIdentityInfo": "MSI",
        }


def test_subscriptions_that_differ_in_case_are_one() -> None:
    """Az finds an account without regard to case, and refuses when there are two."""
    assert len(profile([SUBSCRIPTION, SUBSCRIPTION.upper()])["subscriptions"]) == 1


def test_the_cloud_is_the_local_one_under_the_audience_of_azure() -> None:
    """Its name is that of the profile's subscriptions, or az would not see them."""
    parser = ConfigParser()
    parser.read_string(cloud(ARM))
    [name] = parser.sections()
    assert parser[name]["endpoint_resource_manager"] == "https://localhost:4001"
    assert parser[name]["endpoint_active_directory_resource_id"] == "https://management.azure.com"
    assert profile([SUBSCRIPTION])["subscriptions"][0]["environmentName"] == name


def test_az_gets_the_local_identity_and_nothing_of_the_users_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy or a sign-in of the shell would lead it elsewhere; and it uploads nothing."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("AZURE_CONFIG_DIR", "the-users-own")
    given = environment(ARM, Path("private"))
    assert "HTTPS_PROXY" not in given
    assert given["AZURE_CONFIG_DIR"] == "private"
    assert given["IDENTITY_ENDPOINT"] == READY["identityEndpoint"]
    assert given["IDENTITY_HEADER"] == READY["identityHeader"]
    assert given["REQUESTS_CA_BUNDLE"] == "ca.pem"
    assert given["AZURE_CORE_COLLECT_TELEMETRY"] == "false"


def test_the_identitys_header_is_not_shown() -> None:
    """An address can be logged."""
    assert "shown-there" not in repr(ARM)


@pytest.mark.parametrize(
    ("printed", "problem"),
    [
        ("", "printed no JSON"),
        ("[]", "printed a result without a status"),
        ("{}", "printed a result without a status"),
    ],
)
def test_a_process_that_printed_no_result_has_failed(printed: str, problem: str) -> None:
    """Exit code 0 alone is not an assessment."""
    with pytest.raises(AzFailedError) as caught:
        check_result(COMMAND, printed)
    assert caught.value.problem == problem
    assert caught.value.arguments == COMMAND


def test_a_result_is_one_with_a_status() -> None:
    """Whatever the status is: az does not fail for an assessment that failed either."""
    check_result(COMMAND, json.dumps({"status": "CompletedWithWarnings"}))


def test_an_error_of_az_shows_the_end_of_what_it_said() -> None:
    """Where az says what is wrong."""
    error = AzFailedError(COMMAND, "ended with exit code 1", "x" * 5000 + "the VM is off\n")
    assert str(error).endswith("the VM is off")
    assert len(error.said) == 1000


def test_a_missing_az_is_told_with_what_installs_it() -> None:
    """The target is one to type."""
    assert "`make bench-az`" in str(MissingAzError(Path("az")))


def test_usage_adds_up_cpu_and_takes_the_largest_memory() -> None:
    """Memory is of one process: how many there are at a time is the caller's choice."""
    usage = AzUsage((AzProcess(1.5, 68.0), AzProcess(1.0, 72.0)), 30.0)
    assert (usage.count, usage.cpu_seconds, usage.peak_rss_mib) == (2, 2.5, 72.0)
    assert AzUsage((), 0.0).peak_rss_mib == 0.0
