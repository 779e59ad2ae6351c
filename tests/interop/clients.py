"""`make interop`: clients that nobody here wrote the libraries of, against the local Service Bus.

.NET's SDK, Java's, Qpid JMS, Go's with its ARM and its identity, bare go-amqp, JavaScript's SDK and
rhea, as programs that try one scenario after another and print a line of JSON for each:
`{"scenario": …, "ok": …}`.
JavaScript's and the collector are here, and azure-servicebus's own live tests come from its source
distribution; the others lie beside the project in `../shared/tools`, where they are at hand; what
is not, or whose language is not installed, is left out with a word. Built in `.localcloud/interop`,
from the languages' own registries. Each gets a bus of its own, some of them the whole local cloud
with the app. Python's clients, the service's and Proton's, are tried by the integration tests too.
The app's messages are judged by cloudevents and ajv, and its telemetry goes through the
OpenTelemetry Collector.

Prints how many scenarios passed for each client, and every one that did not; the exit code is 1
when one failed that isn't known to.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from patch_assessor_cli.local import UP_FILE

ROOT = Path(__file__).parents[2]
TOOLS = ROOT.parent / "shared" / "tools"
ENTITIES = TOOLS / "netbus" / "entities.json"
WORK = ROOT / ".localcloud" / "interop"
_START_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Client:
    """A program, and how it comes to be.

    Attributes:
        title: what it stands for.
        source: where its source lies.
        needs: what must be on the path.
        build: the command that makes it, in a copy of its folder; empty when it is made.
        run: the command that runs it there; `{connection}` and `{control}` are the bus's,
            `{up}` is the file that `make up` writes.
        left_out: beginnings of the scenarios that may fail, and why.
        place: what it runs against.
        limit_seconds: how long it may take.
    """

    title: str
    source: Path
    needs: tuple[str, ...]
    build: tuple[str, ...]
    run: tuple[str, ...]
    left_out: Mapping[str, str]
    place: "Place" = "plain"
    limit_seconds: int = 900


Place = Literal["plain", "app", "own"]
"""A bus, the local cloud with the app, or what the program starts itself."""
_MAVEN = ("mvn", "-q", "-B", "package")
_JAVA = ("java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-jar", "target/busjava.jar")
_THROUGH_APP = (sys.executable, "-m", "tests.interop.requests_through_app", "{up}")
_GO = ("go", "build", "-o", "busgo", ".")
_GO_LEFT_OUT = {
    "36 transfer": "no forwarding, so no transfer dead-letter queue",
    "47 admin client": "no administration API",
    "r01 SASL EXTERNAL": "the client wants TLS for it",
}
_NPM = ("npm", "install", "--silent", "--no-audit", "--no-fund")
_ANY_KEY = "the bus takes any key, and so no wrong one"
_NO_WEB_SOCKETS = "no AMQP over WebSockets"
_TLS = "TLS, for which the client knows port 5671 alone; without it in these tests"
_AS_MANY_BYTES = "counts the bytes of the annotations that the service adds"
_OF_THE_TEST = "replaces a function of the client by one of other arguments"
_LIVE_LEFT_OUT = {
    "test_azure_named_key_credential": _ANY_KEY,
    "test_sb_client_bad_credentials": _ANY_KEY,
    "test_sb_client_bad_entity": "an entity that isn't there is not found, rather than forbidden",
    "test_client_sas_credential": _TLS,
    "test_custom_endpoint_connection_verify": _TLS,
    "test_sb_client_with_ssl_context": _TLS,
    "test_queue_send_twice": _NO_WEB_SOCKETS,
    "test_async_queue_send_twice": _NO_WEB_SOCKETS,
    "test_queue_send_timeout": _NO_WEB_SOCKETS,
    "test_async_queue_send_timeout": _NO_WEB_SOCKETS,
    "test_queue_send_large_message_receive": _NO_WEB_SOCKETS,
    "test_async_queue_send_large_message_receive": _NO_WEB_SOCKETS,
    "test_queue_message_amqp_over_websocket": _NO_WEB_SOCKETS,
    "test_queue_operation_negative": _OF_THE_TEST,
    "test_async_queue_operation_negative": _OF_THE_TEST,
    "test_queue_receive_handler_with_autolockrenew_many_msgs": (
        "the client renews 300 locks one by one within 55 s, which it can't on a busy machine"
    ),
    "test_message_backcompat_receive_and_delete_databody": _AS_MANY_BYTES,
    "test_message_backcompat_peek_lock_databody": _AS_MANY_BYTES,
    "test_message_property": "the client can't read the decimal that it wrote",
}
CLIENTS = (
    Client(
        "Azure.Messaging.ServiceBus (.NET)",
        TOOLS / "netbus",
        (),
        (),
        ("./netbus", "bus", "{connection}"),
        {"transaction": "no transactions: amqp:not-implemented"},
    ),
    Client(
        "azure-messaging-servicebus (Java)",
        TOOLS / "busjava",
        ("mvn", "java"),
        _MAVEN,
        (*_JAVA, "bus", "{connection}"),
        {},
    ),
    Client(
        "Qpid JMS",
        TOOLS / "busjava",
        ("mvn", "java"),
        _MAVEN,
        (*_JAVA, "jms", "{connection}"),
        {},
    ),
    Client(
        "azservicebus (Go)",
        TOOLS / "busgo",
        ("go",),
        _GO,
        ("./busgo", "bus", "{connection}", "{control}"),
        _GO_LEFT_OUT,
    ),
    Client(
        "go-amqp",
        TOOLS / "busgo",
        ("go",),
        _GO,
        ("./busgo", "raw", "{connection}", "{control}"),
        _GO_LEFT_OUT,
    ),
    Client(
        "azidentity, armcompute (Go)",
        TOOLS / "busgo",
        ("go",),
        _GO,
        ("./busgo", "arm", "{up}"),
        {},
        "app",
    ),
    Client(
        "requests through the app (Go)",
        TOOLS / "busgo",
        ("go",),
        _GO,
        ("./busgo", "app", "{up}"),
        {},
        "app",
    ),
    Client(
        "requests through the app (Java, JMS)",
        TOOLS / "busjava",
        ("mvn", "java"),
        _MAVEN,
        (*_THROUGH_APP, "java", *_JAVA),
        {},
        "app",
    ),
    Client(
        "requests through the app (.NET)",
        TOOLS / "netbus",
        (),
        (),
        (*_THROUGH_APP, "dotnet", "./netbus"),
        {},
        "app",
    ),
    Client(
        "azure-cli",
        Path(__file__).parent,
        ("az",),
        (),
        (sys.executable, "-m", "tests.interop.azure_cli"),
        {},
        "own",
    ),
    Client(
        "cloudevents (Python), ajv (JavaScript)",
        Path(__file__).parent / "javascript",
        ("npm", "node"),
        _NPM,
        (sys.executable, "-m", "tests.interop.messages", "{up}"),
        {},
        "app",
    ),
    Client(
        "OpenTelemetry Collector (Go)",
        Path(__file__).parent / "collector",
        ("go",),
        ("go", "build", "-o", "collector", "."),
        (sys.executable, "-m", "tests.interop.telemetry", "./collector"),
        {},
        "own",
    ),
    Client(
        "azure-servicebus (Python), its own live tests",
        Path(__file__).parent,
        (),
        (),
        (sys.executable, "-m", "tests.interop.azure_servicebus_live"),
        _LIVE_LEFT_OUT,
        "own",
        2700,
    ),
    Client(
        "@azure/service-bus, rhea (JavaScript)",
        Path(__file__).parent / "javascript",
        ("npm", "node"),
        _NPM,
        ("node", "bus.mjs", "{connection}"),
        {},
    ),
)


@contextmanager
def _place(kind: Place) -> Iterator[Mapping[str, str]]:
    if kind == "own":
        yield {}
        return
    if kind == "app":
        with app_running() as up:
            yield {"up": str(up)}
        return
    command = [sys.executable, "-m", "localcloud.servicebus", "--config", str(ENTITIES)]
    with subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
        [*command, "--exit-with-parent"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("the bus has no pipes")
        ready = json.loads(process.stdout.readline())
        yield {"connection": ready["connectionString"], "control": ready["controlUrl"]}
        process.stdin.close()


@contextmanager
def app_running(*settings: str) -> Iterator[Path]:
    """Leaves the local cloud and the app running; gives the file that tells where.

    Args:
        settings: of the app, each NAME=VALUE.
    """
    place = WORK / "up"
    place.mkdir(parents=True, exist_ok=True)
    file = place / UP_FILE
    file.unlink(missing_ok=True)
    with subprocess.Popen(  # noqa: S603 - the demo, by our own interpreter
        [
            *(sys.executable, "-m", "demo", "up", "--vms", "60", "--time-scale", "60"),
            *(f"--setting={each}" for each in settings),
        ],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    ) as process:
        ends_at = time.monotonic() + _START_SECONDS
        while not file.is_file():
            if process.poll() is not None or time.monotonic() > ends_at:
                process.terminate()
                raise RuntimeError("the local cloud does not start")
            time.sleep(0.2)
        yield file
        process.terminate()


def _missing(client: Client) -> str | None:
    if not client.source.is_dir():
        return f"its files are not at hand ({client.source})"
    if client.place == "plain" and not ENTITIES.is_file():
        return f"the scenarios' entities are not at hand ({ENTITIES})"
    absent = [name for name in client.needs if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed" if absent else None


def _built(client: Client) -> Path:
    folder = WORK / client.source.name
    shutil.copytree(client.source, folder, dirs_exist_ok=True, copy_function=_copy)
    if client.build:
        subprocess.run(client.build, cwd=folder, check=True)  # noqa: S603 - the table above
    return folder


def _copy(source: str, target: str) -> str:
    copied = shutil.copyfile(source, target)
    Path(target).chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    return str(copied)


def _scenarios(client: Client) -> Sequence[Mapping[str, object]]:
    folder = _built(client)
    with _place(client.place) as place:
        command = [part.format(**place) for part in client.run]
        done = subprocess.run(  # noqa: S603 - the table above
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            timeout=client.limit_seconds,
            check=False,
        )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    """Try the clients whose titles contain one of these words; all of them without a word.

    Returns:
        The exit code: 1 when a scenario failed that isn't known to, or none was tried.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for client in CLIENTS:
        if words and not any(word.lower() in client.title.lower() for word in words):
            continue
        if (missing := _missing(client)) is not None:
            _say(f"{client.title}: left out, {missing}")
            continue
        tried = _scenarios(client)
        failed = [str(each["scenario"]) for each in tried if not each["ok"]]
        _say(f"{client.title}: {len(tried) - len(failed)} of {len(tried)}")
        wrong += not tried
        for name in failed:
            known = [why for start, why in client.left_out.items() if name.startswith(start)]
            wrong += not known
            _say(f"  {name}: {known[0] if known else 'FAILED'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
