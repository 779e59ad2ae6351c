"""Log records that say which trace and which assessment they belong to, each on one line.

Every record gets the IDs as attributes, for whatever handler shows it. OtlpHandler makes records of
OpenTelemetry's out of them. It stands in for the SDK's own, which is deprecated in favour of a beta
package, and which would export what an exception says: that may repeat what was in a message.
"""

import logging
import time
import traceback
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.util.types import AnyValue

from assessor.telemetry.attributes import ACTIVITY_ID, CUSTOM_EVENT
from assessor.telemetry.context import current_activity_id
from plain_text import one_line, some_lines

APP_LOGGERS: Final = ("assessor", "handlers")
QUIET_LOGGERS: Final = ("azure", "azure.servicebus._pyamqp", "urllib3")
"""The SDKs tell of every frame and call at INFO."""
_EXPORTER_LOGGERS: Final = ("opentelemetry", "azure.monitor", "azure.core", "azure.identity")
"""What these say is about exporting: exporting it would never end."""

_SEVERITIES: Final[Mapping[int, SeverityNumber]] = MappingProxyType(
    {
        logging.DEBUG: SeverityNumber.DEBUG,
        logging.INFO: SeverityNumber.INFO,
        logging.WARNING: SeverityNumber.WARN,
        logging.ERROR: SeverityNumber.ERROR,
        logging.CRITICAL: SeverityNumber.FATAL,
    }
)
_NANOSECONDS: Final = 1_000_000_000


def stamp_records() -> None:
    """Makes every log record carry `trace_id`, `span_id` and `assessment_activity_id`.

    Each is an empty text where there is none, so that a formatter may name it. What a record says,
    which others may have written, is made plain text, whoever logs it and whatever shows it.
    """
    make = logging.getLogRecordFactory()
    if getattr(make, "stamps", False):
        return

    def stamped(*arguments: Any, **options: Any) -> logging.LogRecord:  # noqa: ANN401 - passed on
        record = make(*arguments, **options)
        context = trace.get_current_span().get_span_context()
        record.trace_id = f"{context.trace_id:032x}" if context.is_valid else ""
        record.span_id = f"{context.span_id:016x}" if context.is_valid else ""
        # Not by its full name, which callers may use in `extra`: logging refuses to overwrite.
        record.assessment_activity_id = current_activity_id() or ""
        _make_plain(record)
        return record

    stamped.stamps = True  # type: ignore[attr-defined] # so that a second call does not stack up
    logging.setLogRecordFactory(stamped)


def _make_plain(record: logging.LogRecord) -> None:
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001 - of any argument's own; whoever shows the record tells of it
        return
    plain = one_line(said)
    if plain != said:
        record.msg, record.args = plain, ()
    if record.exc_info and record.exc_info[0] is not None:
        raised = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        record.exc_text = some_lines(raised, "    ")  # which formatters take in place of their own


def quieten() -> None:
    """Shows the app's own records from INFO on, the SDKs' from WARNING on."""
    for name in APP_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


class OtlpHandler(logging.Handler):
    """Hands log records to OpenTelemetry."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__(logging.INFO)
        self._provider = provider

    def filter(self, record: logging.LogRecord) -> bool:
        """Leaves out what the exporters say."""
        return not record.name.startswith(_EXPORTER_LOGGERS) and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Hands one record over."""
        try:
            self._provider.get_logger(record.name).emit(_translate(record))
        except Exception:  # noqa: BLE001 - logging's own contract: it never raises into the app
            self.handleError(record)


def _translate(record: logging.LogRecord) -> LogRecord:
    return LogRecord(
        timestamp=int(record.created * _NANOSECONDS),
        observed_timestamp=time.time_ns(),
        context=get_current(),
        severity_text=record.levelname,
        severity_number=_SEVERITIES.get(record.levelno, SeverityNumber.UNSPECIFIED),
        body=record.getMessage(),
        attributes=_attributes(record),
    )


def _attributes(record: logging.LogRecord) -> dict[str, AnyValue]:
    attributes: dict[str, AnyValue] = {
        name: value
        for name, value in vars(record).items()
        # What callers add has OpenTelemetry's dotted names; the rest is for other handlers.
        if "." in name and isinstance(value, str | int | float | bool)
    }
    activity_id = current_activity_id()
    if activity_id is not None:
        attributes[ACTIVITY_ID] = activity_id
    if CUSTOM_EVENT in attributes:
        return attributes  # where it is written is the same for all of them
    attributes["code.function.name"] = f"{record.module}.{record.funcName}"
    attributes["code.line.number"] = record.lineno
    if record.exc_info and record.exc_info[0] is not None:
        attributes["exception.type"] = record.exc_info[0].__name__
        attributes["exception.stacktrace"] = "".join(traceback.format_tb(record.exc_info[2]))
    return attributes
