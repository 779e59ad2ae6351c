"""No web page in a browser of this machine commands the local cloud."""

import aiohttp
import pytest

from localcloud.host.control import control_server

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Host": "127.0.0.1:1", "Origin": "http://127.0.0.1:1"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "localhost.example:1"}, 403),
        ({"Host": "127.0.0.1.example"}, 403),
        ({"Host": "LOCALHOST:1"}, 200),
        ({"Host": "127.8.8.8"}, 200),
        ({"Host": ""}, 403),
        ({"Host": "0.0.0.0:1"}, 403),
        ({"Host": "[::]:1"}, 403),
        ({"Host": "[::1].example"}, 403),
        ({"Host": "127.0.0.1."}, 403),
        ({"Host": "2130706433"}, 403),
        ({"Host": "rebound.example@127.0.0.1"}, 403),
        ({"Host": "127.0.0.1/.example"}, 403),
        ({"Host": "127.0.0.1?.example"}, 403),
        ({"Host": "127.0.0.1#.example"}, 403),
        ({"Host": "127.0.0.1, rebound.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": ""}, 403),
        ({"Origin": "https://page.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_only_programs_of_this_machine_are_answered(
    headers: dict[str, str], status: int
) -> None:
    """By a loopback name, and not for another site's page."""
    async with (
        control_server(dict, 0) as url,
        aiohttp.ClientSession() as http,
        http.get(f"{url}/admin/host/status", headers=headers) as answer,
    ):
        assert answer.status == status
