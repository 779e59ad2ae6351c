"""ARM, the identity endpoint and the control surface, running in this process."""

import asyncio
import random
import ssl
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web

from localcloud.arm.access import ASSESSOR_EVERYWHERE, AccessControl, RoleAssignment
from localcloud.arm.buckets import DOCUMENTED, FRONT_DOOR, RECORDED, Buckets
from localcloud.arm.calls import CallLog
from localcloud.arm.clock import Clock, system_clock, unix_seconds
from localcloud.arm.cloud import DEFAULT_EXPIRY_SECONDS, Cloud
from localcloud.arm.control import ArmControl
from localcloud.arm.faults import FaultPlan
from localcloud.arm.fleet import Fleet
from localcloud.arm.server import PAGE_SIZE, ArmServer
from localcloud.arm.signatures import UrlSigner
from localcloud.identity import TOKEN_PATH, IdentityEndpoint, ManagedIdentity, TokenSigner
from localcloud.tls import LocalAuthority

_HOST: Final = "127.0.0.1"


@dataclass(frozen=True)
class ArmOptions:
    """How to run; every port 0 means any free one.

    Attributes:
        seed: of operation names and of faults.
        time_scale: how many times faster than real assessments run and limits refill.
        port: of ARM.
        identity_port: of the identity endpoint.
        control_port: of the control surface.
        ca_file: where the authority's certificate goes; None makes a file that goes with the run.
        expiry_seconds: how long after its end an operation can be read.
        enforce_buckets: whether ARM's and Compute's documented request limits refuse.
        page_size: how many VMs a page of a list has.
        signed_urls: whether operations' URLs are signed, and made up ones refused.
        assignments: who may do what.
        user_assigned: identities that the app may name by client ID.
    """

    seed: int = 0
    time_scale: float = 1
    port: int = 0
    identity_port: int = 0
    control_port: int = 0
    ca_file: Path | None = None
    expiry_seconds: float = DEFAULT_EXPIRY_SECONDS
    enforce_buckets: bool = False
    page_size: int = PAGE_SIZE
    signed_urls: bool = False
    assignments: Sequence[RoleAssignment] = ASSESSOR_EVERYWHERE
    user_assigned: Sequence[ManagedIdentity] = ()


@dataclass(frozen=True)
class LocalArm:
    """A running local ARM: where its parts are, and the parts themselves.

    ``settings()`` has what an app needs to use it.
    """

    endpoint: str
    ca_file: Path
    identity_endpoint: str
    identity_header: str = field(repr=False)
    control_url: str
    cloud: Cloud = field(repr=False)
    faults: FaultPlan = field(repr=False)
    calls: CallLog = field(repr=False)
    signer: TokenSigner = field(repr=False)
    authority: LocalAuthority = field(repr=False)

    def settings(self) -> dict[str, str]:
        """Returns the app settings and environment variables that lead an app here.

        They are for another process: aiohttp reads ``SSL_CERT_FILE`` once, when it is imported.
        In this process, trust ``authority.client_context()`` instead.
        """
        return {
            "ARM_ENDPOINT": self.endpoint,
            "IDENTITY_ENDPOINT": self.identity_endpoint,
            "IDENTITY_HEADER": self.identity_header,
            "SSL_CERT_FILE": str(self.ca_file),
        }

    def announcement(self) -> dict[str, str]:
        """Returns what the command line prints when ready."""
        return {
            "armEndpoint": self.endpoint,
            "caFile": str(self.ca_file),
            "identityEndpoint": self.identity_endpoint,
            "identityHeader": self.identity_header,
            "controlUrl": self.control_url,
        }


@asynccontextmanager
async def run_arm(
    fleet: Fleet, options: ArmOptions | None = None, *, clock: Clock | None = None
) -> AsyncIterator[LocalArm]:
    """Runs a fleet until the context ends.

    Args:
        fleet: the VMs.
        options: how to run them.
        clock: the time; None is the system's.

    Yields:
        The running parts.

    Raises:
        OSError: if a port is taken or the certificate can't be written.
    """
    options, clock = options or ArmOptions(), clock or system_clock()
    rng = random.Random(f"operations {options.seed}")
    signer, authority = TokenSigner(), LocalAuthority()
    faults, calls = FaultPlan(options.seed), CallLog()
    cloud = Cloud(
        fleet.vms,
        clock=clock,
        new_id=lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        time_scale=options.time_scale,
        expiry_seconds=options.expiry_seconds,
    )
    buckets = Buckets(
        DOCUMENTED if options.enforce_buckets else RECORDED,
        clock,
        enforce=options.enforce_buckets,
        time_scale=options.time_scale,
    )
    front_door = (
        Buckets(FRONT_DOOR, clock, enforce=True, time_scale=options.time_scale)
        if options.enforce_buckets
        else None
    )
    access = AccessControl(signer, options.assignments)
    server = ArmServer(
        cloud,
        access,
        buckets,
        faults,
        calls,
        clock,
        options.time_scale,
        page_size=options.page_size,
        front_door=front_door,
        signer=UrlSigner() if options.signed_urls else None,
    )
    identity = IdentityEndpoint(
        signer, lambda: unix_seconds(clock()), user_assigned=options.user_assigned
    )
    kept = (buckets,) if front_door is None else (buckets, front_door)
    control = ArmControl(cloud, faults, calls, fleet.missing, kept)
    async with AsyncExitStack() as stack:
        ca_file = options.ca_file
        if ca_file is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="localcloud-"))
            ca_file = Path(folder, "ca.pem")
        await asyncio.to_thread(authority.write_certificate, ca_file)
        context = authority.server_context()
        arm_port = await _serve(stack, server.application(), options.port, context)
        identity_port = await _serve(stack, identity.application(), options.identity_port)
        control_port = await _serve(stack, control.application(), options.control_port)
        yield LocalArm(
            endpoint=f"https://localhost:{arm_port}",
            ca_file=ca_file,
            identity_endpoint=f"http://{_HOST}:{identity_port}{TOKEN_PATH}",
            identity_header=identity.header,
            control_url=f"http://{_HOST}:{control_port}",
            cloud=cloud,
            faults=faults,
            calls=calls,
            signer=signer,
            authority=authority,
        )


async def _serve(
    stack: AsyncExitStack,
    application: web.Application,
    port: int,
    context: ssl.SSLContext | None = None,
) -> int:
    """Serves an application until the stack unwinds and returns its port."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, _HOST, port, ssl_context=context)
    await site.start()
    bound: int = runner.addresses[0][1]
    return bound
