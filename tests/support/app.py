"""The app as `build_app` makes it, between stand-ins for its ports."""

from collections.abc import Mapping
from random import Random
from typing import Final

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler
from opentelemetry.trace import Tracer

from assessor.arm.listing import Page
from assessor.ports import Arm, Bus, Clock, Ports, PostureStore, ScanStore, VmLister
from assessor.posture.store import MemoryPosture
from assessor.resource_id import Scope
from assessor.scans.store import MemoryScans
from assessor.settings import Settings, read_settings
from assessor.telemetry.context import AssessmentIdGenerator
from assessor.telemetry.metrics import Metrics
from assessor.telemetry.records import Records
from assessor.telemetry.telemetry import Telemetry

ENTITIES: Final[Mapping[str, str]] = {
    "REQUESTS_QUEUE": "requests",
    "IN_PROGRESS_QUEUE": "in-progress",
    "RESULTS_TOPIC": "results",
    "ALERTS_TOPIC": "alerts",
}


def settings(**named: str) -> Settings:
    """Returns the app's settings: the defaults but for those named, and short entity names."""
    service_bus = {"ServiceBus__fullyQualifiedNamespace": "test"}
    return read_settings({**service_bus, **ENTITIES, **named})


def silent_telemetry() -> Telemetry:
    """Returns telemetry that goes nowhere."""
    ids = AssessmentIdGenerator()
    return uncounted_telemetry(TracerProvider(id_generator=ids).get_tracer("test"), ids)


def uncounted_telemetry(
    tracer: Tracer, ids: AssessmentIdGenerator, sampler: Sampler = DEFAULT_ON
) -> Telemetry:
    """Returns telemetry whose metrics and records go nowhere."""
    return Telemetry(tracer, ids, sampler, no_metrics(), Records())


def no_metrics() -> Metrics:
    """Returns metrics that go nowhere."""
    return Metrics(NoOpMeterProvider().get_meter("none"))


class EmptyFleet:
    """Lists of no VMs."""

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Returns an empty page."""
        del scope, link
        return Page(())

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Returns an empty page."""
        del scope, link
        return Page(())


def ports(
    *,
    clock: Clock,
    bus: Bus,
    arm: Arm,
    lister: VmLister | None = None,
    postures: PostureStore | None = None,
    scans: ScanStore | None = None,
    telemetry: Telemetry | None = None,
) -> Ports:
    """Returns the app's ports: those given, and memory or silence for the others.

    The monotonic time stands still: an invocation waits for as long as its window lasts, or not.
    """
    return Ports(
        clock=clock,
        bus=bus,
        arm=arm,
        lister=lister or EmptyFleet(),
        postures=postures or MemoryPosture(),
        scans=scans or MemoryScans(),
        telemetry=telemetry or silent_telemetry(),
        random=Random(1),
        monotonic=lambda: 0.0,
    )
