"""Requests that the app sends to itself: the contract's own form, under an ID that repeats."""

from datetime import datetime
from typing import Any

from assessor.bus.message import OutgoingMessage
from assessor.clock import to_text
from assessor.messages.model import to_json
from assessor.messages.request import AssessmentRequest


def request_message(
    request: AssessmentRequest, message_id: str, enqueue_at: datetime | None = None
) -> OutgoingMessage:
    """Returns the message that asks for one VM.

    Args:
        request: what to ask for; when it was taken is up to the queue.
        message_id: the same each time that this is asked, so that a repeat is a duplicate.
        enqueue_at: when the message is to appear; at once if None.
    """
    fields: dict[str, Any] = {
        "vmId": str(request.vm),
        "requestId": request.request_id,
        "requestedBy": request.requested_by,
        "reason": request.reason,
        "scanId": request.scan_id,
        "freshSince": to_text(request.fresh_since) if request.fresh_since else None,
    }
    return OutgoingMessage(
        body=to_json({name: text for name, text in fields.items() if text is not None}),
        message_id=message_id,
        correlation_id=request.request_id,
        content_type="application/json",
        application_properties={"traceparent": request.traceparent} if request.traceparent else {},
        subject=str(request.vm),
        enqueue_at=enqueue_at,
    )
