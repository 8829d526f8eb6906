"""ExtendedTriggerMessage and keys that belong to a block (security whitepaper §5.5, R16-SEC-3, R16-SEC-7)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.settings_list import settings_for
from controller.ocpp.calls import Answer
from controller.ocpp.rpc import IncomingCall
from controller.ocpp.v16.blocks import Block
from controller.ocpp.v16.handlers import Handlers
from controller.ocpp.validation import validators_16
from tests.unit.ocpp.fakes import FakeOutbox, FakeStation, FakeValues, installation
from tests.unit.ocpp.test_handlers import Triggers


class Rig:
    """Handlers with one block that can be triggered and owns two keys."""

    def __init__(self) -> None:
        self.triggers = Triggers()
        self.done: list[Any] = []
        self.values = FakeValues()
        block = Block(
            triggers={"DiagnosticsStatusNotification": self.answer("old")},
            extended_triggers={"LogStatusNotification": self.answer("log")},
            keys={"heartbeatINTERVAL": self.key, "NumberOfConnectors": self.key},
        )
        self.handlers = Handlers(
            control=FakeStation(2),
            settings=settings_for(installation(evses=2)),
            values=self.values,
            outbox=FakeOutbox(),
            triggers=self.triggers,
            validators=validators_16(),
            blocks=[block],
        )

    def answer(self, name: str) -> Any:
        def triggered(connector: int | None) -> Answer:
            return Answer(
                payload={"status": "Accepted"}, then=lambda: self.done.append((name, connector))
            )

        return triggered

    def key(self, value: str) -> Answer:
        self.done.append(value)
        return Answer(payload={"status": "Accepted"})

    async def ask(self, action: str, payload: dict[str, Any]) -> str:
        reply = self.handlers.answer(IncomingCall(message_id="1", action=action, payload=payload))
        answer = reply if isinstance(reply, Answer) else await reply
        if answer.then is not None:
            answer.then()
        assert answer.payload is not None
        return str(answer.payload["status"])


@pytest.mark.parametrize(
    ("request_", "status", "done", "triggered"),
    [
        ({"requestedMessage": "Heartbeat"}, "Accepted", [], ["heartbeat"]),
        ({"requestedMessage": "BootNotification"}, "Rejected", [], []),
        (
            {"requestedMessage": "StatusNotification", "connectorId": 1},
            "Accepted",
            [],
            [("status", 1)],
        ),
        ({"requestedMessage": "StatusNotification", "connectorId": 9}, "Rejected", [], []),
        ({"requestedMessage": "MeterValues"}, "Accepted", [], [("values", None)]),
        ({"requestedMessage": "LogStatusNotification"}, "Accepted", [("log", None)], []),
        ({"requestedMessage": "FirmwareStatusNotification"}, "NotImplemented", [], []),
        ({"requestedMessage": "SignChargePointCertificate"}, "NotImplemented", [], []),
    ],
)
async def test_extended_triggers_reach_their_block(
    request_: dict[str, Any], status: str, done: list[Any], triggered: list[Any]
) -> None:
    rig = Rig()
    assert await rig.ask("ExtendedTriggerMessage", request_) == status
    assert (rig.done, rig.triggers.done) == (done, triggered)


async def test_the_two_kinds_of_triggers_are_apart() -> None:
    rig = Rig()
    assert (
        await rig.ask("TriggerMessage", {"requestedMessage": "DiagnosticsStatusNotification"})
        == "Accepted"
    )
    assert rig.done == [("old", None)]


async def test_a_key_of_a_block_is_changed_by_the_block_only() -> None:
    rig = Rig()
    change = {"key": "HeartbeatInterval", "value": "77"}
    assert await rig.ask("ChangeConfiguration", change) == "Accepted"
    assert rig.done == ["77"]
    assert rig.values.values == {}
    change = {"key": "NumberOfConnectors", "value": "7"}
    assert await rig.ask("ChangeConfiguration", change) == "Rejected"
    assert rig.done == ["77"]
