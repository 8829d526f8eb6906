"""The blocks LocalAuthListManagement and Reservation of 1.6: words in, words out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.core.local_list import ListStatus, ListUpdate
from controller.core.model import AuthorizationStatus, IdToken, RequestStatus
from controller.core.reservation import Reservation, ReserveStatus
from controller.ocpp.calls import Answer
from controller.ocpp.rpc import ErrorName
from controller.ocpp.v16.blocks import Block
from controller.ocpp.v16.local_list import local_list
from controller.ocpp.v16.reservation import reservation
from tests.unit.ocpp.fakes import installation

Payload = dict[str, Any]


class Lists:
    """The service as the block sees it."""

    def __init__(self) -> None:
        self.enabled, self.version, self.size, self.conflict = True, 0, 0, False
        self.updates: list[ListUpdate] = []
        self.status = ListStatus.ACCEPTED
        self.changed: Callable[[], None] = lambda: None

    def on_conflict(self, listener: Callable[[], None]) -> None:
        self.changed = listener

    async def update(self, update: ListUpdate) -> ListStatus:
        self.updates.append(update)
        return self.status


class Told:
    """The adapter as the block sees it."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, str]] = []

    def station_error(self, code: str, info: str = "") -> None:
        self.errors.append((code, info))


def made(lists: Lists, told: Told | None = None, **first_boot: str) -> Block:
    from controller.core.settings_list import settings_for

    settings = settings_for(installation(first_boot=first_boot))
    return local_list(lists)(told or Told(), settings)  # type: ignore[arg-type]


async def ask(block: Block, action: str, payload: Payload) -> Answer:
    reply = block.actions[action](payload)
    return reply if isinstance(reply, Answer) else await reply


def update(version: int = 1, kind: str = "Full", *entries: Payload) -> Payload:
    return {"listVersion": version, "updateType": kind, "localAuthorizationList": list(entries)}


@pytest.mark.parametrize(
    ("enabled", "version", "size", "number"),
    [(True, 0, 0, 0), (True, 5, 0, 0), (True, 5, 2, 5), (False, 5, 2, -1)],
)
async def test_the_version(enabled: bool, version: int, size: int, number: int) -> None:
    """TC_042_1, TC_042_2: 0 = empty, -1 = switched off."""
    lists = Lists()
    lists.enabled, lists.version, lists.size = enabled, version, size
    answer = await ask(made(lists), "GetLocalListVersion", {})
    assert answer.payload == {"listVersion": number}


async def test_an_update_in_domain_words() -> None:
    lists = Lists()
    entry = {
        "idTag": "A1",
        "idTagInfo": {
            "status": "Blocked",
            "expiryDate": "2026-11-22T12:00:00+01:00",
            "parentIdTag": "G",
        },
    }
    answer = await ask(
        made(lists), "SendLocalList", update(4, "Differential", entry, {"idTag": "B2"})
    )
    assert answer.payload == {"status": "Accepted"}
    (sent,) = lists.updates
    assert (sent.version, sent.full) == (4, False)
    first, second = sent.entries
    assert first.id_token == IdToken("A1") and first.info is not None
    assert first.info.status is AuthorizationStatus.BLOCKED
    assert first.info.group == IdToken("G")
    assert first.info.expires_at == datetime(2026, 11, 22, 11, 0, tzinfo=UTC)
    assert second.info is None


async def test_a_list_may_be_left_out() -> None:
    lists = Lists()
    answer = await ask(made(lists), "SendLocalList", {"listVersion": 2, "updateType": "Full"})
    assert answer.payload == {"status": "Accepted"} and lists.updates[0].entries == []


@pytest.mark.parametrize("status", list(ListStatus))
async def test_what_the_station_answers_goes_out(status: ListStatus) -> None:
    lists = Lists()
    lists.status = status
    answer = await ask(made(lists), "SendLocalList", update())
    assert answer.payload == {"status": status.value}


async def test_switched_off_is_not_supported() -> None:
    """TC_043_1."""
    lists = Lists()
    lists.enabled = False
    answer = await ask(made(lists), "SendLocalList", update())
    assert answer.payload == {"status": "NotSupported"} and lists.updates == []


async def test_too_many_in_one_message_fail_unread() -> None:
    """TC_043_3."""
    lists = Lists()
    many = [{"idTag": str(n), "idTagInfo": {"status": "Accepted"}} for n in range(4)]
    block = made(lists, SendLocalListMaxLength="3")
    assert (await ask(block, "SendLocalList", update(1, "Full", *many))).payload == {
        "status": "Failed"
    }
    assert lists.updates == []
    assert (await ask(block, "SendLocalList", update(1, "Full", *many[:3]))).payload == {
        "status": "Accepted"
    }


async def test_a_conflict_is_an_error_of_connector_0() -> None:
    """R16-ST-6."""
    lists, told = Lists(), Told()
    made(lists, told)
    lists.conflict = True
    lists.changed()
    lists.conflict = False
    lists.changed()
    assert [code for code, _ in told.errors] == ["LocalListConflict", "NoError"]
    assert all(len(info) <= 50 for _, info in told.errors)


class Book:
    """The reservation service as the block sees it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.status = ReserveStatus.ACCEPTED

    async def reserve(self, wanted: Reservation) -> ReserveStatus:
        self.asked.append(wanted)
        return self.status

    async def cancel(self, reservation_id: int) -> RequestStatus:
        self.asked.append(reservation_id)
        return RequestStatus.REJECTED

    def on_end(self, listener: object) -> None:
        raise NotImplementedError


REQUEST: Payload = {
    "connectorId": 1,
    "expiryDate": "2026-11-22T12:00:00.123456Z",
    "idTag": "A1",
    "reservationId": 0,
}


@pytest.mark.parametrize("status", list(ReserveStatus))
@pytest.mark.parametrize("connector", [0, 1])
async def test_reserve(status: ReserveStatus, connector: int) -> None:
    book = Book()
    book.status = status
    block = reservation(book)(None, None)  # type: ignore[arg-type]
    answer = await ask(
        block, "ReserveNow", {**REQUEST, "connectorId": connector, "parentIdTag": "G"}
    )
    assert answer.payload == {"status": status.value}
    (wanted,) = book.asked
    assert (wanted.id, wanted.evse, wanted.id_token) == (0, connector or None, IdToken("A1"))
    assert wanted.group == IdToken("G")
    assert wanted.expires_at == datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


async def test_a_time_that_is_none_is_an_error() -> None:
    book = Book()
    block = reservation(book)(None, None)  # type: ignore[arg-type]
    answer = await ask(block, "ReserveNow", {**REQUEST, "expiryDate": "tomorrow"})
    assert answer.error is ErrorName.PROPERTY and book.asked == []


async def test_cancel() -> None:
    book = Book()
    block = reservation(book)(None, None)  # type: ignore[arg-type]
    answer = await ask(block, "CancelReservation", {"reservationId": 3})
    assert answer.payload == {"status": "Rejected"} and book.asked == [3]
