"""What the Azure CLI is given to work with where the benchmarks compare with it."""

import json
from pathlib import Path

import pytest

from benchmarks.az import AzError, check_result, environment

COMMAND = ("vm", "assess-patches", "--ids", "/subscriptions/1")
READY = {
    "armEndpoint": "https://localhost:4001",
    "caFile": "ca.pem",
    "identityEndpoint": "http://127.0.0.1:4002/msi/token",
    "identityHeader": "shown-there",
    "controlUrl": "http://127.0.0.1:4003",
}


def test_az_gets_the_local_identity_and_nothing_of_the_users_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy or a sign-in of the shell would lead it elsewhere; and it uploads nothing."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("AZURE_CONFIG_DIR", "the-users-own")
    given = environment(READY, Path("private"))
    assert "HTTPS_PROXY" not in given
    assert given["AZURE_CONFIG_DIR"] == "private"
    assert given["IDENTITY_ENDPOINT"] == READY["identityEndpoint"]
    assert given["IDENTITY_HEADER"] == READY["identityHeader"]
    assert given["REQUESTS_CA_BUNDLE"] == "ca.pem"
    assert given["AZURE_CORE_COLLECT_TELEMETRY"] == "false"


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
    with pytest.raises(AzError, match=problem) as caught:
        check_result(COMMAND, printed)
    assert caught.value.arguments == COMMAND


def test_a_result_is_one_with_a_status() -> None:
    """Whatever the status is: az does not fail for an assessment that failed either."""
    check_result(COMMAND, json.dumps({"status": "CompletedWithWarnings"}))


def test_an_error_of_az_shows_the_end_of_what_it_said() -> None:
    """Where az says what is wrong."""
    error = AzError(COMMAND, "ended with exit code 1", "x" * 5000 + "the VM is off\n")
    assert str(error).endswith("the VM is off")
    assert len(error.said) == 1000
