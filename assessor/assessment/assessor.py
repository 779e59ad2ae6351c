"""The assessor: takes one request for one VM from step to step until its outcome is published."""

from assessor.assessment.conclusion import Concluder, trace_of
from assessor.assessment.rescheduler import Rescheduler
from assessor.assessment.state_machine import Done, StateMachine
from assessor.messages.progress import AssessmentProgress
from assessor.messages.request import AssessmentRequest
from assessor.ports import Clock
from assessor.telemetry.telemetry import Delivery, Telemetry


class Assessor:
    """Starts and resumes assessments; what can't go on within one invocation is rescheduled."""

    def __init__(  # noqa: PLR0913 - each is one narrow part
        self,
        *,
        machine: StateMachine,
        concluder: Concluder,
        rescheduler: Rescheduler,
        telemetry: Telemetry,
        clock: Clock,
        in_progress_queue: str,
    ) -> None:
        self._machine = machine
        self._concluder = concluder
        self._rescheduler = rescheduler
        self._telemetry = telemetry
        self._clock = clock
        self._queue = in_progress_queue

    async def start(self, request: AssessmentRequest) -> None:
        """Starts on a request that was just accepted.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        await self._advance(AssessmentProgress(request, accepted_at=self._clock.now()))

    async def resume(self, progress: AssessmentProgress) -> None:
        """Resumes a request where another invocation has let go of it.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        delivery = Delivery(
            self._queue,
            request_id=progress.request.request_id,
            reschedules=progress.reschedules,
            waited_since=progress.rescheduled_at,
            assessment=trace_of(self._telemetry, progress),
        )
        with self._telemetry.processing(delivery, self._clock.now()):
            await self._advance(progress)

    async def _advance(self, progress: AssessmentProgress) -> None:
        step = await self._machine.advance(progress)
        later = await self._concluder.conclude(step) if isinstance(step, Done) else step
        if later is not None:
            await self._rescheduler.reschedule(later)
