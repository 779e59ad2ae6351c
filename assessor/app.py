"""The composition root: `build_app` puts the app together from its settings and its ports.

handlers ─► App.requests ──► Assessor ──► StateMachine ──► Arm
│               ├──► Concluder ──► Bus, and then AlertOutbox and Scans
│               └──► Rescheduler ──► Bus
└─► Scans ──► Expander, ScanCloser
handlers ─► App.resume, App.events, App.schedule
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from assessor.alerts.investigation import PORTALS, TraceLink
from assessor.alerts.message import AlertStyle
from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.recorded import alerting, retiring
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.sweep import WINDOW_SECONDS, Sweeper
from assessor.arm.throttling import POLLS_PER_MINUTE, RateLimiter
from assessor.assessment.adoption import KnownAssessments
from assessor.assessment.assessor import Assessor, RequestIntake
from assessor.assessment.conclusion import Concluder
from assessor.assessment.follower import Follower
from assessor.assessment.rescheduler import Rescheduler
from assessor.assessment.shared_polls import SharedPolls
from assessor.assessment.starter import SharedStarts, Starter
from assessor.assessment.state_machine import StateMachine
from assessor.assessment.steps import Steps
from assessor.bus.bus_time import BusTime
from assessor.bus.tracing import TracingBus
from assessor.events.deletion import confirmed_by
from assessor.events.intake import EventIntake
from assessor.messages.in_progress import check_times
from assessor.messages.owner_tags import OwnerTags
from assessor.messages.progress import AssessmentProgress, InProgress, OverdueSweep
from assessor.messages.request import AssessmentRequest
from assessor.ports import Bus, Ports
from assessor.posture.durations import Durations
from assessor.scans.completion import ScanCloser
from assessor.scans.expansion import Expander
from assessor.scans.scans import Scans
from assessor.scans.schedule import ScanSchedule
from assessor.settings import Settings
from assessor.telemetry.context import Delivery


@dataclass(frozen=True, slots=True)
class App:
    """The app, but for its triggers."""

    requests: RequestIntake
    assessor: Assessor
    scans: Scans
    events: EventIntake
    schedule: ScanSchedule
    overdue: Sweeper
    _settings: Settings
    _ports: Ports
    _bus_time: BusTime

    async def resume(
        self,
        progress: InProgress,
        enqueued_at: datetime | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        """Resumes whatever another invocation has rescheduled, or the app has asked itself for.

        `enqueued_at` is when its message appeared, by the bus's clock; `delivery` is that, for
        telemetry.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
            InProgressError: a time in it is none of the app's.
        """
        now = self._ports.clock.now()
        if enqueued_at is not None:
            self._bus_time.received(enqueued_at)
            now = max(now, enqueued_at)
        check_times(progress, now)
        if isinstance(progress, AssessmentProgress):
            await self.assessor.resume(progress, delivery)
            return
        if isinstance(progress, AssessmentRequest):
            await self.assessor.take_up(progress, delivery)
            return
        delivery = delivery or Delivery(self._settings.in_progress_queue)
        with self._ports.telemetry.processing(delivery, self._ports.clock.now()):
            if isinstance(progress, OverdueSweep):
                await self.overdue.resume(progress)
            else:
                await self.scans.resume(progress)


def build_app(settings: Settings, ports: Ports) -> App:
    """Returns the app: every part of it is made here, once."""
    bus_time = BusTime(ports.bus.send, ports.clock.now)
    ports.telemetry.bus_address = settings.service_bus_address
    bus = TracingBus(bus_time.send, ports.telemetry, own_queue=settings.in_progress_queue)
    metrics = ports.telemetry.metrics
    durations = Durations(ports.postures.durations, settings.expected_seconds)
    rescheduler = Rescheduler(bus, settings.in_progress_queue, metrics, ports.clock)
    tags = OwnerTags(settings.alert_tags)
    policy = AlertPolicy(
        timedelta(hours=settings.reminder_hours), timedelta(hours=settings.overdue_hours)
    )
    alerts = AlertOutbox(
        store=ports.postures,
        bus=bus,
        alerts_topic=settings.alerts_topic,
        clock=ports.clock,
        policy=policy,
        style=AlertStyle(
            tags, TraceLink(PORTALS[settings.arm_cloud_name], settings.insights_component)
        ),
    )
    scans = _build_scans(settings, ports, bus, rescheduler)
    assessor = Assessor(
        machine=build_state_machine(settings, ports, durations),
        concluder=Concluder(
            bus=bus,
            results_topic=settings.results_topic,
            tags=tags,
            consequences=(alerting(alerts), scans.record),
            durations=durations,
            telemetry=ports.telemetry,
            clock=ports.clock,
            random=ports.random,
        ),
        rescheduler=rescheduler,
        telemetry=ports.telemetry,
        clock=ports.clock,
        random=ports.random,
        in_progress_queue=settings.in_progress_queue,
        deadline=timedelta(minutes=settings.deadline_minutes),
        allowed_scopes=settings.allowed_scopes,
    )
    return App(
        requests=RequestIntake(
            assessor=assessor,
            received=bus_time.received,
            start_scan=rescheduler.begin_scan,
            bus=bus,
            telemetry=ports.telemetry,
            clock=ports.clock,
            requests_queue=settings.requests_queue,
            in_progress_queue=settings.in_progress_queue,
            results_topic=settings.results_topic,
            allowed_scopes=settings.allowed_scopes,
        ),
        assessor=assessor,
        scans=scans,
        events=EventIntake(
            bus=bus,
            retire=retiring(alerts, ports.telemetry.records),
            is_gone=confirmed_by(ports.arm),
            count=metrics.event,
            clock=ports.clock,
            in_progress_queue=settings.in_progress_queue,
            results_topic=settings.results_topic,
            settle=timedelta(seconds=settings.event_settle_seconds),
            allowed_scopes=settings.allowed_scopes,
        ),
        schedule=ScanSchedule(
            bus=bus,
            clock=ports.clock,
            in_progress_queue=settings.in_progress_queue,
            schedule=settings.scan_schedule,
            scopes=settings.scan_scopes,
            tags=settings.scan_tags,
        ),
        overdue=Sweeper(
            store=ports.postures,
            outbox=alerts,
            rescheduler=rescheduler,
            clock=ports.clock,
            random=ports.random,
            metrics=metrics,
            new_window=ports.windows(WINDOW_SECONDS),
            policy=policy,
        ),
        _settings=settings,
        _ports=ports,
        _bus_time=bus_time,
    )


def build_state_machine(settings: Settings, ports: Ports, durations: Durations) -> StateMachine:
    """Returns the state machine of assessments."""
    known = KnownAssessments(ports.postures.load)
    deadline = timedelta(minutes=settings.deadline_minutes)
    steps = Steps(ports.clock, deadline)
    return StateMachine(
        arm=ports.arm,
        starter=Starter(
            arm=ports.arm,
            starts=SharedStarts(),
            known=known,
            begin_limiter=RateLimiter(settings.pace_per_minute),
            durations=durations,
            clock=ports.clock,
            deadline=deadline,
        ),
        known=known,
        follower=Follower(
            polls=SharedPolls(ports.arm, ports.clock),
            limiter=RateLimiter(POLLS_PER_MINUTE),
            known=known,
            durations=durations,
            clock=ports.clock,
            new_window=ports.windows(settings.hold_seconds, ports.telemetry.waiting),
            steps=steps,
        ),
        telemetry=ports.telemetry,
        clock=ports.clock,
        random=ports.random,
        steps=steps,
    )


def _build_scans(settings: Settings, ports: Ports, bus: Bus, rescheduler: Rescheduler) -> Scans:
    deadline = timedelta(minutes=settings.deadline_minutes)
    return Scans(
        expander=Expander(
            lister=ports.lister,
            bus=bus,
            store=ports.scans,
            clock=ports.clock,
            random=ports.random,
            new_window=ports.windows(settings.hold_seconds),
            in_progress_queue=settings.in_progress_queue,
            allowed_scopes=settings.allowed_scopes,
            pace_per_minute=settings.pace_per_minute,
            deadline=deadline,
            sight=ports.postures.sight if settings.overdue_hours else None,
        ),
        closer=ScanCloser(
            store=ports.scans,
            bus=bus,
            clock=ports.clock,
            random=ports.random,
            results_topic=settings.results_topic,
            deadline=deadline,
        ),
        store=ports.scans,
        rescheduler=rescheduler,
        clock=ports.clock,
        random=ports.random,
        metrics=ports.telemetry.metrics,
        deadline=deadline,
    )
