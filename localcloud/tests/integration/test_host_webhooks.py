"""The host's webhook for Event Grid, from before its start until after its stop."""

from typing import Any

import aiohttp
import pytest

from localcloud.host.webhooks import event_grid_webhook

pytestmark = pytest.mark.integration


async def test_a_host_that_does_not_run_says_so_and_not_that_the_function_is_unknown() -> None:
    """503 is delivered again; a 404 would end the event."""
    ran: list[dict[str, Any]] = []

    async def run(event: dict[str, Any]) -> bool:
        ran.append(event)
        return True

    async with event_grid_webhook() as webhook, aiohttp.ClientSession() as session:

        async def delivered(name: str = "events") -> int:
            async with session.post(
                webhook.url,
                params={"functionName": name},
                json=[{"id": "1"}],
                headers={"aeg-event-type": "Notification"},
            ) as answer:
                return answer.status

        listener = webhook.attach("events", run)
        assert await delivered() == 503
        await listener.start()
        assert await delivered() == 202
        listener.stop()
        assert await delivered() == 503
        assert await delivered("others") == 404
    assert ran == [{"id": "1"}]
