"""The strict backend's own rules: a good day has no violation, and each planted one is found."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.demo.csms_rules import Rules
from controller.demo.csms_rules_script import Deed, objections
from controller.demo.csms_rules_status import CHANGES
from controller.ocpp.validation import validators_16

T0 = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
VALIDATORS = validators_16()
REGISTER = "Energy.Active.Import.Register"


def stamp(at_s: float) -> str:
    return (T0 + timedelta(seconds=at_s)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Frame:
    """One frame of the log. `who`: "station" or "backend"; "" = a connection comes up."""

    at_s: float
    who: str
    frame: list[Any]

    @property
    def payload(self) -> dict[str, Any]:
        return self.frame[-1]


class Log:
    """Writes a log as a station and a backend that keep all rules would."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.now_s = 0.0
        self.number = 0

    def connect(self) -> None:
        self.frames.append(Frame(self.now_s, "", []))

    def call(self, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
        self.number += 1
        message_id = f"m{self.number}"
        self.frames.append(Frame(self.now_s, "station", [2, message_id, action, payload]))
        self.now_s += 0.05
        self.frames.append(Frame(self.now_s, "backend", [3, message_id, answer]))
        self.now_s += 0.05

    def asked(self, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
        self.number += 1
        message_id = f"b{self.number}"
        self.frames.append(Frame(self.now_s, "backend", [2, message_id, action, payload]))
        self.now_s += 0.05
        self.frames.append(Frame(self.now_s, "station", [3, message_id, answer]))
        self.now_s += 0.05

    def boot(self) -> None:
        payload = {"chargePointVendor": "chargepost", "chargePointModel": "x"}
        answer = {"status": "Accepted", "currentTime": stamp(self.now_s), "interval": 300}
        self.call("BootNotification", payload, answer)

    def status(self, status: str, connector: int = 1) -> None:
        payload = {
            "connectorId": connector,
            "status": status,
            "errorCode": "NoError",
            "timestamp": stamp(self.now_s),
        }
        self.call("StatusNotification", payload, {})

    def start(self, transaction_id: int, tag: str, wh: int, at_s: float | None = None) -> None:
        payload = {
            "connectorId": 1,
            "idTag": tag,
            "meterStart": wh,
            "timestamp": stamp(self.now_s if at_s is None else at_s),
        }
        answer = {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}}
        self.call("StartTransaction", payload, answer)

    def values(self, transaction_id: int | None, wh: float, at_s: float | None = None) -> None:
        value = {
            "timestamp": stamp(self.now_s if at_s is None else at_s),
            "sampledValue": [{"value": str(wh)}],
        }
        payload: dict[str, Any] = {"connectorId": 1, "meterValue": [value]}
        if transaction_id is not None:
            payload["transactionId"] = transaction_id
        self.call("MeterValues", payload, {})

    def stop(
        self, transaction_id: int, tag: str, wh: int, at_s: float | None = None, **more: Any
    ) -> None:
        payload = {
            "transactionId": transaction_id,
            "idTag": tag,
            "meterStop": wh,
            "timestamp": stamp(self.now_s if at_s is None else at_s),
            **more,
        }
        self.call("StopTransaction", payload, {"idTagInfo": {"status": "Accepted"}})


def good_day() -> list[Frame]:
    """Two sessions online, one that happened offline."""
    log = Log()
    log.connect()
    log.boot()
    log.status("Available", 0)
    log.status("Available")
    log.now_s = 60
    log.status("Preparing")
    log.call("Authorize", {"idTag": "AA"}, {"idTagInfo": {"status": "Accepted"}})
    log.start(1, "AA", 1000)
    log.status("Charging")
    log.now_s = 120
    log.values(1, 1100)
    log.asked("TriggerMessage", {"requestedMessage": "Heartbeat"}, {"status": "Accepted"})
    log.call("Heartbeat", {}, {"currentTime": stamp(log.now_s)})
    log.now_s = 180
    log.values(1, 1200)
    log.now_s = 200
    log.stop(1, "AA", 1250, reason="Local")
    log.status("Finishing")
    log.status("Available")
    log.now_s = 300
    log.status("Preparing")
    log.start(2, "BB", 1250)
    log.status("Charging")
    log.now_s = 400
    log.stop(2, "BB", 1500, reason="EVDisconnected")
    log.status("Available")
    # The link is gone from 450 to 700; a whole session happens meanwhile.
    log.now_s = 700
    log.connect()
    log.start(3, "CC", 1500, at_s=500)
    log.values(3, 1600, at_s=560)
    log.stop(3, "CC", 1700, at_s=600, reason="Local")
    log.status("Finishing")
    return log.frames


GOOD_DEEDS = [
    Deed(connector=1, id_tag="aa", reason="Local", energy_wh=250, started_at=T0 + timedelta(seconds=60)),
    Deed(connector=1, id_tag="BB", reason="EVDisconnected", energy_wh=250),
    Deed(connector=1, id_tag="CC", reason="Local", energy_wh=200, started_at=T0 + timedelta(seconds=500)),
]  # fmt: skip


def violations(
    frames: list[Frame], deeds: list[Deed] = GOOD_DEEDS, last_wh: float = 1700
) -> list[str]:
    """Replay a log to the rules, in its own time, and compare with what people did."""
    now_s = 0.0
    rules = Rules(
        VALIDATORS,
        monotonic_s=lambda: now_s,
        utc=lambda: T0 + timedelta(seconds=now_s),
    )
    rules.on_time_s, rules.answered_s, rules.books.gap_wh = 1.0, 2.0, 1.0
    rules.books.starts_from(1, 1000)
    answers = {f.frame[1]: f.frame for f in frames if f.who == "backend" and f.frame[0] != 2}
    actions: dict[str, str] = {}
    for item in frames:
        now_s, frame = item.at_s, item.frame
        if not item.who:
            rules.connected()
        elif item.who == "station" and frame[0] == 2:
            message_id, action, payload = frame[1:4]
            actions[message_id] = action
            if rules.station_calls(message_id, action, payload):
                continue
            if action == "StartTransaction" and message_id in answers:
                rules.started(answers[message_id][2]["transactionId"], payload)
            elif action == "StopTransaction":
                rules.stopped(payload)
            elif action == "MeterValues":
                rules.metered(payload)
        elif item.who == "station" and frame[0] == 3:
            rules.station_answers(frame[1], frame[2])
        elif item.who == "station":
            rules.station_fails(frame[1])
        elif frame[0] == 2:
            rules.backend_calls(frame[1], frame[2], frame[3])
        elif frame[0] == 3:
            if frame[1] in actions:
                rules.backend_answers(frame[1], actions[frame[1]], frame[2])
        else:
            rules.backend_fails(frame[1])
    rules.finish({1: last_wh})
    return rules.violations + objections(rules.transactions.values(), deeds)


# --- helpers of the planted ones ----------------------------------------------------------------------------


def find(frames: list[Frame], action: str, n: int = 0) -> int:
    places = [i for i, f in enumerate(frames) if len(f.frame) > 2 and f.frame[2] == action]
    return places[n]


def change(action: str, n: int = 0, **values: Any) -> Callable[[list[Frame]], None]:
    def act(frames: list[Frame]) -> None:
        payload = frames[find(frames, action, n)].payload
        for name, value in values.items():
            if value is None:
                payload.pop(name)
            else:
                payload[name] = value

    return act


def drop(action: str, n: int = 0) -> Callable[[list[Frame]], None]:
    def act(frames: list[Frame]) -> None:
        place = find(frames, action, n)
        del frames[place : place + 2]

    return act


def again(action: str, n: int = 0, **values: Any) -> Callable[[list[Frame]], None]:
    """The same call once more with another id."""

    def act(frames: list[Frame]) -> None:
        place = find(frames, action, n)
        pair = copy.deepcopy(frames[place : place + 2])
        for frame in pair:
            frame.frame[1] = "again"
        pair[0].payload.update(values)
        frames[place + 2 : place + 2] = pair

    return act


def swap(first: tuple[str, int], second: tuple[str, int]) -> Callable[[list[Frame]], None]:
    """Exchange two calls with their answers; the times of the log stay in order."""

    def act(frames: list[Frame]) -> None:
        a, b = find(frames, *first), find(frames, *second)
        times = [frames[i].at_s for i in (a, a + 1, b, b + 1)]
        frames[a : a + 2], frames[b : b + 2] = frames[b : b + 2], frames[a : a + 2]
        for i, at_s in zip((a, a + 1, b, b + 1), times, strict=True):
            frames[i].at_s = at_s

    return act


def value(n: int, **values: Any) -> Callable[[list[Frame]], None]:
    def act(frames: list[Frame]) -> None:
        frames[find(frames, "MeterValues", n)].payload["meterValue"][0].update(values)

    return act


def overlap(frames: list[Frame]) -> None:
    """The answer to Authorize comes only after the next call."""
    place = find(frames, "Authorize")
    answer = frames.pop(place + 1)
    frames.insert(place + 2, answer)


def same_id(frames: list[Frame]) -> None:
    first, second = find(frames, "MeterValues", 0), find(frames, "MeterValues", 1)
    for i in (0, 1):
        frames[second + i].frame[1] = frames[first + i].frame[1]


def answer_of(action: str, **values: Any) -> Callable[[list[Frame]], None]:
    def act(frames: list[Frame]) -> None:
        frames[find(frames, action) + 1].payload.update(values)

    return act


def unanswered(frames: list[Frame]) -> None:
    del frames[find(frames, "TriggerMessage") + 1]


def too_late(frames: list[Frame]) -> None:
    frames[find(frames, "TriggerMessage") + 1].at_s += 10.05


def stop_without_start(frames: list[Frame]) -> None:
    frames[find(frames, "StopTransaction", 1)].payload["transactionId"] = 77


def rename(frames: list[Frame]) -> None:
    place = find(frames, "Heartbeat")
    frames[place].frame[2] = "Hello"
    del frames[place + 1]


def long_id(frames: list[Frame]) -> None:
    place = find(frames, "Heartbeat")
    for i in (0, 1):
        frames[place + i].frame[1] = "x" * 37


PLANTED: dict[str, tuple[Callable[[list[Frame]], None], str]] = {
    "two open calls": (overlap, "sent while Authorize is open"),
    "a call before the boot": (swap(("BootNotification", 0), ("StatusNotification", 0)), "before the station was accepted"),
    "a field too long": (change("Authorize", idTag="x" * 21), "Authorize: idTag"),
    "an unknown field": (change("StartTransaction", colour="red"), "'colour' was unexpected"),
    "a wrong type": (change("StopTransaction", meterStop="1250"), "StopTransaction: meterStop"),
    "an unknown action": (rename, "unknown action Hello"),
    "an answer that the schema forbids": (answer_of("TriggerMessage", status="Maybe"), "answer to TriggerMessage"),
    "an answer of the backend that the schema forbids": (answer_of("Authorize", idTagInfo={}), "own answer to Authorize"),
    "an impossible change of status": (change("StatusNotification", 3, status="Reserved"), "went from Preparing to Reserved"),
    "preparing again after a charge": (change("StatusNotification", 8, status="Preparing"), "went from Charging to Preparing"),
    "connector 0 charges": (change("StatusNotification", 0, status="Charging"), "connector 0 cannot be Charging"),
    "a start that is missing": (drop("StartTransaction", 1), "stop of the unknown transaction 2"),
    "a start told twice": (again("StartTransaction", 0), "was told twice"),
    "a start while another runs": (drop("StopTransaction", 0), "has started while 1 runs there"),
    "a stop that is missing": (drop("StopTransaction", 2), "transaction 3 was never stopped"),
    "a stop told twice": (again("StopTransaction", 0, meterStop=1251), "transaction 1 stopped twice"),
    "a stop of an unknown transaction": (stop_without_start, "stop of the unknown transaction 77"),
    "a stop before its start": (swap(("StartTransaction", 2), ("StopTransaction", 2)), "unknown transaction 3"),
    "values after the stop": (swap(("MeterValues", 2), ("StopTransaction", 2)), "meter values after the stop of 3"),
    "values of an unknown transaction": (change("MeterValues", 0, transactionId=99), "unknown transaction 99"),
    "values without their transaction": (change("MeterValues", 0, transactionId=None), "without its transactionId"),
    "values from before the start": (value(0, timestamp=stamp(59)), "from before the start of 1"),
    "values from after the end": (value(2, timestamp=stamp(650)), "from after its end"),
    "values of another connector": (change("MeterValues", 0, connectorId=2), "from another connector"),
    "a register that falls": (value(1, sampledValue=[{"value": "1050"}]), "fell from 1100.0 to 1050.0"),
    "a register that falls at the stop": (change("StopTransaction", meterStop=1199), "fell from 1200.0 to 1199"),
    "energy between two transactions": (change("StartTransaction", 1, meterStart=1260), "energy outside transactions: 10.0 Wh"),
    "a start below the last stop": (change("StartTransaction", 1, meterStart=1240), "fell from 1250 to 1240"),
    "another reason": (change("StopTransaction", 0, reason="Remote"), "ended by Remote, it was Local"),
    "another card": (change("StartTransaction", 2, idTag="DD"), "told for DD, it was CC"),
    "a card that is refused charges": (again("StartTransaction", 2, idTag="XX", timestamp=stamp(600)), "has started while|sessions happened"),
    "local time": (change("StatusNotification", 2, timestamp=stamp(3660).replace("Z", "+01:00")), "is not UTC with Z"),
    "a time in the future": (change("StartTransaction", 0, timestamp=stamp(90)), "lies in the future"),
    "a status told late": (change("StatusNotification", 2, timestamp=stamp(50)), "was told 10.0 s late"),
    "the time of sending instead of the event": (change("StartTransaction", 2, timestamp=stamp(700)), "its start is told"),
    "an id for two messages": (same_id, "used again for something else"),
    "an id too long": (long_id, "36 characters"),
    "a question never answered": (unanswered, "TriggerMessage of the backend was never answered"),
    "a question answered too late": (too_late, "was answered after 10.1 s"),
    "a stop before the start in time": (change("StopTransaction", 2, timestamp=stamp(499)), "stops before it starts"),
    "a start before the last stop in time": (change("StartTransaction", 2, timestamp=stamp(399)), "starts before 2 has ended"),
    "data from outside the transaction": (
        change("StopTransaction", 0, transactionData=[{"timestamp": stamp(30), "sampledValue": [{"value": "1000"}]}]),
        "from outside the transaction",
    ),
}  # fmt: skip


def test_a_good_day_has_no_violation() -> None:
    assert violations(good_day()) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str) -> None:
    plant, wanted = PLANTED[name]
    frames = good_day()
    plant(frames)
    found = violations(frames)
    assert any(part in text for text in found for part in wanted.split("|")), found


def test_twenty_at_least_are_planted() -> None:
    assert len(PLANTED) >= 20


def test_energy_after_the_last_stop_is_found() -> None:
    assert any("energy outside" in text for text in violations(good_day(), last_wh=1710))


def test_a_session_that_was_never_told_is_found() -> None:
    more = [*GOOD_DEEDS, Deed(connector=1, id_tag="EE", reason="Local", energy_wh=1)]
    assert any("4 sessions happened, 3 were told" in text for text in violations(good_day(), more))


def test_energy_that_differs_by_more_than_a_watt_hour_is_found() -> None:
    deeds = [Deed(connector=1, id_tag="AA", reason="Local", energy_wh=252), *GOOD_DEEDS[1:]]
    assert any("250 Wh told, 252.00 Wh flowed" in text for text in violations(good_day(), deeds))


def test_a_reservation_that_is_not_named_is_found() -> None:
    deeds = [*GOOD_DEEDS[:2], Deed(connector=1, id_tag="CC", reason="Local", energy_wh=200, reservation=5)]  # fmt: skip
    assert any("reservation None, it was 5" in text for text in violations(good_day(), deeds))


def every_pair() -> Iterator[tuple[str, str]]:
    for before in CHANGES:
        for after in CHANGES:
            if before != after:
                yield before, after


@pytest.mark.parametrize(("before", "after"), list(every_pair()))
def test_the_table_of_statuses(before: str, after: str) -> None:
    """Only what is listed is allowed, and after an absence anything (R16-ST-4)."""
    rules = Rules(VALIDATORS)
    rules.statuses.told({"connectorId": 1, "status": before, "errorCode": "NoError"})
    rules.violations.clear()
    error = "GroundFailure" if after == "Faulted" else "NoError"
    told = {"connectorId": 1, "status": after, "errorCode": error}
    rules.statuses.told(told)
    assert (rules.violations == []) is (after in CHANGES[before])
    rules.violations.clear()
    rules.statuses.now[1] = before
    rules.connected()
    rules.statuses.told(told)
    assert rules.violations == []


def test_the_table_has_as_many_changes_as_the_specification() -> None:
    assert {name: len(after) for name, after in CHANGES.items()} == {
        "Available": 7, "Preparing": 6, "Charging": 6, "SuspendedEV": 6, "SuspendedEVSE": 6,
        "Finishing": 4, "Reserved": 4, "Unavailable": 6, "Faulted": 8,
    }  # fmt: skip


def test_after_a_restart_the_station_registers_first() -> None:
    log = Log()
    log.connect()
    log.boot()
    log.status("Available")
    rules = Rules(VALIDATORS)
    rules.station_calls("a", "BootNotification", log.frames[1].payload)
    rules.backend_answers("a", "BootNotification", log.frames[2].payload)
    rules.station_calls("b", "StatusNotification", log.frames[3].payload)
    assert rules.violations == []
    rules.restarted()
    rules.connected()
    rules.station_calls("c", "StatusNotification", log.frames[3].payload)
    assert rules.violations == ["StatusNotification before the station was accepted"]
