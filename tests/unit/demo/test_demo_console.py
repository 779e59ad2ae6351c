"""The console's subscriptions on the local cloud."""

import json
from pathlib import Path

from demo.console import console_entities

ENTITIES = json.loads((Path(__file__).parents[3] / "infra/servicebus.json").read_text("utf-8"))


def test_each_topic_gets_a_subscription_that_nobody_has_to_read() -> None:
    """Its messages go by themselves, and the deployment's own file stays as it is."""
    before = json.dumps(ENTITIES)
    (namespace,) = console_entities(ENTITIES)["UserConfig"]["Namespaces"]
    for topic in namespace["Topics"]:
        added = [each for each in topic["Subscriptions"] if each["Name"] == "console"]
        assert len(added) == 1
        assert added[0]["Properties"]["DefaultMessageTimeToLive"] == "PT10M"
        assert not added[0]["Properties"]["DeadLetteringOnMessageExpiration"]
        assert added[0]["Rules"] == []
    assert json.dumps(ENTITIES) == before
