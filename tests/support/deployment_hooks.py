"""What a deployment hook meets: `azd` and `az` that record and answer, and ARM over TLS."""

import json
import os
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import trustme

HOOKS: Final = Path(__file__).parents[2] / "infra" / "hooks"
SUBSCRIPTION: Final = "11111111-1111-1111-1111-111111111111"
TOKEN: Final = "the-token-of-whoever-is-signed-in"
_SECONDS: Final = 60
_COMMAND = """#!{python} -IS
import json, os, pathlib, sys
home = pathlib.Path(__file__).parent
name = pathlib.Path(__file__).name
command = [name, *sys.argv[1:]]
with (home / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(command) + "\\n")
for answer in json.loads((home / "answers.json").read_text()):
    if command[: len(answer["to"])] == answer["to"]:
        sys.stdout.write(answer.get("out", ""))
        sys.stderr.write(answer.get("err", ""))
        sys.exit(answer.get("code", 0))
sys.exit(f"{{name}}: nobody expected {{command}}")
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command that begins with `to` prints, and ends with."""

    to: Sequence[str]
    out: str = ""
    err: str = ""
    code: int = 0

    def as_json(self) -> dict[str, object]:
        """Returns it as the command reads it."""
        return {"to": list(self.to), "out": self.out, "err": self.err, "code": self.code}


SIGNED_IN: Final = (
    Answer(["azd", "auth", "token"], json.dumps({"token": TOKEN})),
    Answer(["azd", "env", "set"]),
    Answer(["azd", "provision"]),
)


class Commands:
    """A folder for the PATH with commands that record how they were called."""

    def __init__(self, folder: Path, names: Sequence[str], answers: Sequence[Answer]) -> None:
        """Makes the commands."""
        self.folder = folder
        folder.mkdir()
        for name in names:
            script = folder / name
            script.write_text(_COMMAND.format(python=sys.executable))
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.answer(*answers)

    def answer(self, *answers: Answer) -> None:
        """Sets what they answer; the first that fits counts."""
        text = json.dumps([each.as_json() for each in answers])
        (self.folder / "answers.json").write_text(text)

    @property
    def calls(self) -> list[list[str]]:
        """Returns each call, the command first, in order."""
        calls = self.folder / "calls.jsonl"
        return (
            [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
        )

    def run(self, hook: str, **values: str) -> subprocess.CompletedProcess[str]:
        """Runs a hook as azd does: in its folder, with the environment's values."""
        return subprocess.run(  # noqa: S603 - the hook itself
            [sys.executable, str(HOOKS / f"{hook}.py")],
            cwd=HOOKS,
            env={"PATH": f"{self.folder}", "PYTHONDONTWRITEBYTECODE": "1", **values},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )


@dataclass
class Arm:
    """ARM as far as the hooks use it: `answers` by method and path, the last one again and again.

    Attributes:
        origin: where it is.
        certificate: the file with the authority that signed for it.
        answers: status and body of each answer; 404 for what is not in it.
        asked: what was asked: method, path and bearer token.
    """

    origin: str
    certificate: Path
    answers: dict[str, list[tuple[int, Mapping[str, Any]]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    @property
    def settings(self) -> dict[str, str]:
        """Returns the values with which a hook finds it."""
        return {"ARM_ENDPOINT": self.origin, "SSL_CERT_FILE": str(self.certificate)}

    def take(self, method: str, path: str, token: str) -> tuple[int, Mapping[str, Any]]:
        """Notes a call and returns its answer."""
        self.asked.append((method, path))
        self.tokens.add(token)
        answers = self.answers.get(f"{method} {path}")
        if not answers:
            return 404, {"error": {"code": "NotFound"}}
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def arm_over_tls(folder: Path) -> Iterator[Arm]:
    """Runs an ARM on loopback; its certificate goes to `folder`."""
    authority = trustme.CA()
    certificate = folder / "arm-ca.pem"
    authority.cert_pem.write_to_path(str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    arm = Arm("", certificate)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, body = arm.take(self.command, unquote(urlsplit(self.path).path), token)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Says nothing; `asked` has it all."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    arm.origin = f"https://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield arm
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def path_with(*folders: Path) -> str:
    """Returns the PATH with these folders before all others."""
    return os.pathsep.join([*(str(each) for each in folders), os.environ["PATH"]])
