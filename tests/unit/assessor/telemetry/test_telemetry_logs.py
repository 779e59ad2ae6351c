"""Log records that name the assessment that they are about."""

import logging
from collections.abc import Iterator

import pytest

from assessor.telemetry.attributes import ACTIVITY_ID
from assessor.telemetry.context import Delivery, root_span_id, trace_id_of
from assessor.telemetry.logs import OtlpHandler, quieten, stamp_records
from tests.support.fakes import FakeClock
from tests.support.telemetry_rig import Rig, span_id

ACTIVITY = "14e074b4-2fd7-4d20-8b3b-5339add89570"
LOG = logging.getLogger("assessor.test")


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leaves logging as it was."""
    names = ("assessor", "handlers", "azure", "azure.servicebus._pyamqp", "urllib3")
    levels = {name: logging.getLogger(name).level for name in names}
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Telemetry that takes what any logger says."""
    rig = Rig()
    quieten()
    handler = OtlpHandler(rig.pipeline.loggers)
    logging.getLogger().addHandler(handler)
    yield rig
    logging.getLogger().removeHandler(handler)


def test_a_record_carries_trace_span_and_activity(rig: Rig) -> None:
    """Wherever the code that logs is: it needs to know nothing of traces."""
    with rig.telemetry.processing(Delivery("requests"), FakeClock().now()):
        rig.telemetry.begun(ACTIVITY, root_span_id(ACTIVITY, "r-1"), adopted=False)
        LOG.info("request %s goes on", "r-1", extra={"patch_assessor.request_id": "r-1"})

    (record,) = rig.logs()
    assert record.body == "request r-1 goes on"
    assert record.trace_id == trace_id_of(ACTIVITY)
    assert record.span_id == span_id(rig.one("follow"))
    assert record.attributes[ACTIVITY_ID] == ACTIVITY
    assert record.attributes["patch_assessor.request_id"] == "r-1"


def test_a_record_outside_of_an_assessment_names_none(rig: Rig) -> None:
    LOG.info("hello")

    (record,) = rig.logs()
    assert ACTIVITY_ID not in record.attributes
    assert record.trace_id == 0


def test_an_exception_leaves_its_type_and_place_alone(rig: Rig) -> None:
    """Its words may repeat what was in a message."""
    said = "sec" + "ret"  # in two, for the trace shows this line
    try:
        int(said)
    except ValueError:
        LOG.exception("it broke")

    (record,) = rig.logs()
    assert record.attributes["exception.type"] == "ValueError"
    assert "test_telemetry_logs.py" in str(record.attributes["exception.stacktrace"])
    assert "secret" not in str(record)


def test_the_sdks_are_heard_from_warning_on(rig: Rig) -> None:
    """They tell of every frame and every call at INFO."""
    logging.getLogger("azure.servicebus._pyamqp.aio._connection_async").info("Connection state")
    logging.getLogger("azure.servicebus").warning("the link was detached")

    assert [record.body for record in rig.logs()] == ["the link was detached"]


@pytest.mark.parametrize("name", ["opentelemetry.sdk.trace.export", "azure.monitor.opentelemetry"])
def test_what_is_said_about_exporting_is_not_exported(rig: Rig, name: str) -> None:
    """A collector that is down would be told of it for ever."""
    logging.getLogger(name).warning("could not export")

    assert rig.logs() == []


def test_every_handler_can_show_the_ids(rig: Rig) -> None:
    """A format string may name them, inside an assessment and outside; once is enough."""
    stamp_records()
    stamp_records()
    form = logging.Formatter("%(trace_id)s/%(span_id)s/%(assessment_activity_id)s")

    outside = logging.getLogRecordFactory()("n", logging.INFO, "p", 1, "m", (), None)
    with rig.telemetry.processing(Delivery("requests"), FakeClock().now()):
        rig.telemetry.begun(ACTIVITY, root_span_id(ACTIVITY, "r-1"), adopted=False)
        inside = logging.getLogRecordFactory()("n", logging.INFO, "p", 1, "m", (), None)

    assert form.format(outside) == "//"
    follow = rig.one("follow")
    assert form.format(inside) == f"{trace_id_of(ACTIVITY):032x}/{span_id(follow):016x}/{ACTIVITY}"


@pytest.mark.parametrize("name", ["assessor.test", "azure.servicebus"])
def test_what_strangers_wrote_stays_one_line(rig: Rig, name: str) -> None:
    """Whoever logs it, and in what was raised: no line is forged, and no terminal commanded."""
    stamp_records()
    forged = "x\n[2026-11-27T00:00:00.000Z] Information: request \x1b[2J"
    shown: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(handler.format(record))  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        logger.warning("request %s", forged)
        try:
            raise ValueError(forged)  # noqa: TRY301 - for its traceback
        except ValueError:
            logger.exception("%d %% of it", 5)
    finally:
        logger.removeHandler(handler)

    first, second = shown
    assert first == r"request x\u000a[2026-11-27T00:00:00.000Z] Information: request \u001b[2J"
    assert second.startswith("5 % of it\nTraceback")
    assert "\n    [2026-11-27" in second
    assert "\x1b" not in second
    assert rig.logs()[0].body == first


def test_a_record_that_can_not_be_written_harms_nobody() -> None:
    """The handler tells of it, as ever."""
    stamp_records()
    record = logging.getLogRecordFactory()("n", logging.INFO, "p", 1, "%d", ("x",), None)
    assert record.msg == "%d"
