"""Which proxy the SDKs' connection pools go through."""

import pytest

from assessor.http import proxy_of

ARM = "https://management.azure.com"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what the machine that tests has set."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_a_setting_there_is_no_proxy() -> None:
    """Which is how it is in Azure, mostly."""
    assert proxy_of(ARM) is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_the_environments_proxy_is_taken_for_its_scheme(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As aiohttp and azure-core do."""
    monkeypatch.setenv(name, "http://proxy.example:3128")
    assert proxy_of(ARM) == "http://proxy.example:3128"
    assert proxy_of("http://127.0.0.1:10002/devstoreaccount1") is None


@pytest.mark.parametrize("hosts", ["management.azure.com", ".azure.com", "*", "example,azure.com"])
def test_a_host_that_needs_no_proxy_gets_none(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    """NO_PROXY names hosts and domains."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", hosts)
    assert proxy_of(ARM) is None


def test_no_endpoint_has_no_proxy() -> None:
    """Rather than another one's."""
    assert proxy_of("") is None
