"""The triggers by time: the scheduled scan, and the look for VMs that are overdue."""

import logging
from typing import Final

import azure.functions as func

from assessor.settings import Settings
from assessor.worker import Worker

_LOG: Final = logging.getLogger(__name__)
_EACH_HOUR: Final = "0 17 * * * *"
"""At an odd minute, when nobody else's timers fire."""


def blueprint(worker: Worker, settings: Settings) -> func.Blueprint:
    """Returns the function that asks for the scheduled scans, and the one that asks who is overdue.

    That one is there only where ALERT_OVERDUE_HOURS is set.

    The schedule's text goes into the binding, and not the setting's name: the setting has a
    default, and `%SCAN_SCHEDULE%` would want it to be set.

    Args:
        worker: what the function works with.
        settings: say when.
    """
    functions = func.Blueprint()
    if not settings.scan_scopes:
        _LOG.info("SCAN_SCOPES is empty: the schedule scans nothing")
    elif not settings.scan_schedule.comes:
        _LOG.warning(
            "SCAN_SCHEDULE is %s, a day that no month has: nothing is ever scanned",
            settings.scan_schedule.text,
        )

    @functions.function_name("scheduled_scan")
    @functions.timer_trigger(
        arg_name="timer", schedule=settings.scan_schedule.text, use_monitor=True
    )
    @functions.retry(strategy="fixed_delay", max_retry_count="5", delay_interval="00:01:00")
    async def scheduled_scan(timer: func.TimerRequest) -> None:
        """Asks for the scans of the last occurrence, however late or often it is called."""
        if timer.past_due:
            _LOG.info("the schedule's timer fires late")
        async with worker.invocation() as app:
            await app.schedule.fire()

    if settings.overdue_hours:
        _check_each_hour(functions, worker)
    return functions


def _check_each_hour(functions: func.Blueprint, worker: Worker) -> None:
    @functions.function_name("check_overdue")
    @functions.timer_trigger(arg_name="timer", schedule=_EACH_HOUR, use_monitor=True)
    @functions.retry(strategy="fixed_delay", max_retry_count="5", delay_interval="00:01:00")
    async def check_overdue(timer: func.TimerRequest) -> None:
        """Asks for the check of this hour, however late or often it is called."""
        del timer
        async with worker.invocation() as app:
            await app.overdue.start()
