"""A pytest plugin that lets azure-servicebus's own live tests run against the local Service Bus.

They are written for a subscription: each asks by decorators ("preparers") for a namespace and for
queues, topics and rules in it, which its authors' tools create by ARM and take away again. Here the
preparers only say what they want; when all tests are read, a bus is started with one entity for
each of them. The SDK itself is as it is installed, and told not to use TLS, because it knows only
one port for it.
"""

import asyncio
import functools
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any, ClassVar, Final

import pytest
from azure.core.credentials import AccessToken
from azure.servicebus import ServiceBusClient
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient

REPORT: Final = "LIVE_TESTS_REPORT"
"""Names the environment variable with the file that each test's outcome is added to."""
_LIMIT_SECONDS: Final = 300
_ROOT: Final = Path(__file__).parents[2]
_HOST: Final = "localhost"
_LONGEST_LOCK: Final = "PT5M"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


# The tests read where the bus is as they are imported, and it starts when they all are.
_PORT: Final = _free_port()
_CONNECTION: Final = (
    f"Endpoint=sb://{_HOST}:{_PORT}/;SharedAccessKeyName=RootManageSharedAccessKey;"
    "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
)


class Preparer:
    """Stands in for a preparer: says what a test wants and passes on what it got.

    Args:
        options: what its author asks for.
    """

    made: ClassVar[list["Preparer"]] = []
    prefix = "entity"

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - any of theirs
        self.options = options
        self.name = f"{self.prefix}-{len(self.made)}"
        self.made.append(self)

    def given(self, _so_far: dict[str, Any]) -> dict[str, Any]:
        """What the test is called with for it."""
        return {}

    def __call__(self, test: Callable[..., Any]) -> Callable[..., None]:
        """The test, called with what was prepared beside what it is called with."""

        @functools.wraps(test)
        def prepared(instance: object, **so_far: Any) -> None:  # noqa: ANN401 - any of theirs
            if self.options.get("requires_session"):
                pytest.skip("sessions are not supported by the local bus")
            if self.options.get("enable_partitioning"):
                pytest.skip("partitions are not supported by the local bus")
            everything = so_far | self.given(so_far)
            done = test(instance, **everything)
            if inspect.iscoroutine(done):
                asyncio.run(done)

        return prepared

    def properties(self) -> dict[str, object]:
        """What a queue or subscription is like, in the emulator's words."""
        return {
            "LockDuration": self.options.get("lock_duration", "PT1M"),
            "MaxDeliveryCount": 10,
            "DefaultMessageTimeToLive": "P10675199D",  # as a queue in Azure that nobody limits
            "RequiresDuplicateDetection": self.options.get("requires_duplicate_detection", False),
            "DuplicateDetectionHistoryTimeWindow": "PT5M",
            "DeadLetteringOnMessageExpiration": self.options.get(
                "dead_lettering_on_message_expiration", False
            ),
        }


class _Namespace(Preparer):
    def given(self, _so_far: dict[str, Any]) -> dict[str, Any]:
        name = "servicebus_namespace"
        return {
            name: SimpleNamespace(name=_HOST),
            f"{name}_connection_string": _CONNECTION,
            f"{name}_key_name": "RootManageSharedAccessKey",
            f"{name}_primary_key": "SAS_KEY_VALUE",
        }


class _Entity(Preparer):
    parameter = ""

    def given(self, _so_far: dict[str, Any]) -> dict[str, Any]:
        parameter = self.options.get("parameter_name", self.parameter)
        return {parameter: SimpleNamespace(name=self.name)}


class _Queue(_Entity):
    prefix, parameter = "queue", "servicebus_queue"

    def properties(self) -> dict[str, object]:
        return super().properties() | {"LockDuration": self.options.get("lock_duration", "PT30S")}


class _Topic(_Entity):
    prefix, parameter = "topic", "servicebus_topic"


class _Subscription(_Entity):
    prefix, parameter = "subscription", "servicebus_subscription"


class _Rule(Preparer):
    """A key with fewer rights, or for one entity; the local bus takes any key."""

    parameter = "servicebus_authorization_rule"

    def given(self, so_far: dict[str, Any]) -> dict[str, Any]:
        rights = self.options.get("access_rights")
        if rights is not None and len(rights) < len(_Rights.ALL):
            pytest.skip("the local bus lets any key do anything")
        return {f"{self.parameter}_connection_string": self._string(so_far)}

    def _string(self, _so_far: dict[str, Any]) -> str:
        return _CONNECTION


class _QueueRule(_Rule):
    parameter = "servicebus_queue_authorization_rule"

    def _string(self, so_far: dict[str, Any]) -> str:
        return f"{_CONNECTION}EntityPath={so_far['servicebus_queue'].name};"


class _Rights:
    manage, send, listen = ALL = ("Manage", "Send", "Listen")


class _Credential:
    """A token that nobody looks at."""

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        return AccessToken("token", int(time.time()) + 3600)


class _AsyncCredential(_Credential):
    async def get_token(  # type: ignore[override] # the asynchronous kind
        self, *scopes: str, **options: object
    ) -> AccessToken:
        return super().get_token(*scopes, **options)

    async def close(self) -> None:
        """Nothing to close."""


def _credential(*, is_async: bool = False) -> _Credential:
    return _AsyncCredential() if is_async else _Credential()


def _same(test: Callable[..., Any]) -> Callable[..., Any]:
    return test


def _module(name: str, **members: object) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


def _stand_in() -> None:
    """Puts something in the place of what is in the authors' repository, and not in the package."""
    cases = ("AzureMgmtRecordedTestCase", "AzureRecordedTestCase")
    _module(
        "devtools_testutils",
        get_credential=_credential,
        RandomNameResourceGroupPreparer=Preparer,
        # A preparer here awaits by itself.
        **{name: type(name, (), {"await_prepared_test": staticmethod(_same)}) for name in cases},
    )
    kinds = {
        "ResourceGroup": Preparer,
        "Namespace": _Namespace,
        "Queue": _Queue,
        "Topic": _Topic,
        "Subscription": _Subscription,
        "NamespaceAuthorizationRule": _Rule,
        "QueueAuthorizationRule": _QueueRule,
    }
    named = {f"ServiceBus{kind}Preparer": preparer for kind, preparer in kinds.items()}
    cached = {f"Cached{name}": preparer for name, preparer in named.items()}
    _module("servicebus_preparer", SERVICEBUS_ENDPOINT_SUFFIX=f":{_PORT}", **named, **cached)
    errors = ("AzureHttpError", "AzureConflictHttpError")
    _module("azure.common", **{name: type(name, (Exception,), {}) for name in errors})
    _module("azure.mgmt.servicebus")
    _module("azure.mgmt.servicebus.models", AccessRights=_Rights)


def _without_tls(client: type) -> None:
    original = client.__init__  # type: ignore[misc] # of the class, on purpose

    @functools.wraps(original)
    def plain(self: object, *arguments: object, **options: Any) -> None:  # noqa: ANN401 - theirs
        original(self, *arguments, **{"use_tls": False, **options})

    client.__init__ = plain  # type: ignore[misc] # likewise


_stand_in()
_without_tls(ServiceBusClient)
_without_tls(AsyncServiceBusClient)


def _config() -> dict[str, object]:
    """One entity for each preparer.

    Which subscription is of which topic shows only as a test runs, so each topic has all of them.
    """
    subscriptions = [
        {"Name": each.name, "Properties": each.properties()}
        for each in Preparer.made
        if isinstance(each, _Subscription) and not each.options.get("requires_session")
    ]
    namespace = {
        "Name": "sbemulatorns",
        "Queues": [
            {"Name": each.name, "Properties": each.properties()}
            for each in Preparer.made
            if isinstance(each, _Queue) and not each.options.get("requires_session")
        ],
        "Topics": [
            {
                "Name": each.name,
                "Properties": {"DefaultMessageTimeToLive": "P10675199D"},
                "Subscriptions": subscriptions,
            }
            for each in Preparer.made
            if isinstance(each, _Topic)
        ],
    }
    return {"UserConfig": {"Namespaces": [namespace]}}


@pytest.fixture(scope="session", autouse=True)
def _bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    config = tmp_path_factory.mktemp("bus") / "config.json"
    config.write_text(json.dumps(_config()))
    with subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
        [
            *(sys.executable, "-m", "localcloud.servicebus", "--config", str(config)),
            *("--port", str(_PORT), "--exit-with-parent"),
        ],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["amqpPort"] == _PORT
        yield
        process.stdin.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Ends a test that hangs."""

    def too_long(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"{item.name} took longer than {_LIMIT_SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(_LIMIT_SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tells what became of each test, as `make interop` reads it."""
    told = os.environ.get(REPORT)
    if told is None or "PYTEST_XDIST_WORKER" in os.environ:
        return  # the process that started the others hears of all tests
    if report.when != "call" and not (report.when == "setup" and not report.passed):
        return
    file_name, _, name = report.nodeid.rpartition("::")
    line = {
        "scenario": f"{name} ({file_name.partition('::')[0]})",
        "ok": report.outcome == "passed",
        "seconds": round(report.duration, 1),
    }
    if report.skipped and isinstance(report.longrepr, tuple):
        line["skipped"] = report.longrepr[2].removeprefix("Skipped: ")
    with Path(told).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
