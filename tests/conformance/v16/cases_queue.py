"""Transaction messages: order, attempts, late answers, ids, nothing lost (R16-TX-1 to R16-TX-10)."""

from __future__ import annotations

from datetime import timedelta

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.matching import ABSENT, ANY
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}
QUICK = {**NO_VALUES, "TransactionMessageAttempts": "3", "TransactionMessageRetryInterval": "10"}
REGISTER = "Energy.Active.Import.Register"


async def one_session(lab: Lab, uid: str = CARD, seconds: float = 60.0) -> None:
    """Cable, card, charge, card, cable out; nobody waits for the backend."""
    lab.plug()
    await lab.sleep(2)
    lab.tap(uid)
    await lab.closed()
    await lab.sleep(seconds)
    lab.tap(uid)
    await lab.opened()
    await lab.sleep(3)
    lab.unplug()
    await lab.sleep(3)


@case(
    "TC_037_1_CS",
    "R16-TX-1",
    "R16-TX-3",
    "R16-TX-6",
    title="Sessions without a link: told afterwards in order, with the times of the events, nothing dropped",
    config={"MeterValueSampleInterval": "20", "MeterValuesSampledData": REGISTER},
    charging={"authorize_wait_s": 3.0},
)
async def offline_sessions(lab: Lab) -> None:
    await lab.csms.call("ClearCache", {}, status="Accepted")
    await lab.csms.call(
        "ChangeConfiguration",
        {"key": "AllowOfflineTxForUnknownId", "value": "true"},
        status="Accepted",
    )
    await lab.csms.offline()
    began = []
    for uid in (CARD, OTHER_CARD, CARD):
        began.append(lab.utc)
        await one_session(lab, uid, 65)
        await lab.sleep(30)
    lab.csms.skip()
    await lab.csms.online()
    registers: list[float] = []
    last_at = began[0]
    for at, uid in zip(began, (CARD, OTHER_CARD, CARD), strict=True):
        start = await lab.csms.expect("StartTransaction", within=90, connectorId=1, idTag=uid)
        assert timedelta(0) <= start.at - at <= timedelta(seconds=6), "the time of the event"
        for _ in range(3):
            values = await lab.csms.expect("MeterValues", transactionId=start.transaction_id)
            (value,) = values["meterValue"]
            registers.append(float(value["sampledValue"][0]["value"]))
        stop = await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
        assert last_at <= start.at < stop.at
        last_at = stop.at
    assert registers == sorted(registers)
    await lab.csms.quiet("MeterValues", for_s=5)


@case(
    "R16-TX-2",
    title="A CALLERROR uses up an attempt; the wait grows with the number of attempts",
    config=QUICK,
)
async def attempts_and_intervals(lab: Lab) -> None:
    lab.csms.reply("StartTransaction", times=2, error=("InternalError", "not now"))
    lab.plug()
    await lab.sleep(2)
    lab.tap()
    first = await lab.csms.expect("StartTransaction", idTag=CARD)
    second = await lab.csms.expect("StartTransaction", idTag=CARD)
    third = await lab.csms.expect("StartTransaction", idTag=CARD)
    assert 9.9 <= second.at_s - first.at_s <= 10.5
    assert 19.9 <= third.at_s - second.at_s <= 20.5
    assert first.payload == second.payload == third.payload
    assert len({first.message_id, second.message_id, third.message_id}) == 3
    lab.tap()
    await lab.csms.expect("StopTransaction", transactionId=third.transaction_id)


@case(
    "R16-TX-4",
    title="A start that is refused to the end is put aside; later messages of it say -1, the next one is whole",
    config={**QUICK, "MeterValueSampleInterval": "40"},
)
async def a_start_given_up(lab: Lab) -> None:
    lab.csms.reply("StartTransaction", times=3, error=("InternalError", "never"))
    lab.plug()
    await lab.sleep(2)
    lab.tap()
    for _ in range(3):
        await lab.csms.expect("StartTransaction", idTag=CARD)
    assert lab.evse().closed, "the driver charges all the same"
    await lab.csms.expect("MeterValues", transactionId=-1, within=60)
    lab.tap()
    await lab.csms.expect("StopTransaction", transactionId=-1)
    await lab.opened()
    kept = await lab.station.store.undelivered.as_text()
    assert len(kept) == 1, "kept and shown"
    lab.unplug()
    await lab.sleep(3)
    lab.csms.skip()
    start = await lab.begin_charging()
    assert start.transaction_id > 0
    lab.tap()
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)


@case(
    "R16-TX-2",
    "R16-TX-5",
    title="A time-out is no refusal: the same message with the same id, again and again",
    config={**QUICK, "MessageTimeout": "10", "WebSocketPingInterval": "0"},
)
async def no_answer_is_no_refusal(lab: Lab) -> None:
    lab.csms.rules.patience_s = 9.0
    lab.csms.reply("StartTransaction", times=6, silent=True)
    lab.plug()
    await lab.sleep(2)
    lab.tap()
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    await lab.until(lambda: len(lab.csms.repeated) >= 6, within=300, what="six repetitions")
    again = [c for c in lab.csms.repeated if c.action == "StartTransaction"]
    assert {c.message_id for c in again} == {start.message_id}
    assert all(c.payload == start.payload for c in again)
    await lab.sleep(1)
    lab.tap()
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    assert len(lab.csms.rules.transactions) == 1
    assert await lab.station.store.undelivered.count() == 0


@case(
    "R16-TX-2",
    title="An answer that comes after the time-out counts",
    config={**QUICK, "MessageTimeout": "20", "TransactionMessageRetryInterval": "60"},
)
async def a_late_answer_counts(lab: Lab) -> None:
    lab.csms.rules.patience_s = 19.0
    lab.csms.reply("StartTransaction", delay_s=45)
    lab.plug()
    await lab.sleep(2)
    lab.tap()
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    await lab.sleep(50)
    assert lab.csms.repeated == []
    lab.tap()
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)


@case(
    "R16-TX-5",
    title="The link breaks under an open start: the same message with the same id on the new connection",
    config=NO_VALUES,
)
async def the_link_breaks_under_an_open_start(lab: Lab) -> None:
    lab.csms.reply("StartTransaction", silent=True)
    lab.plug()
    await lab.sleep(2)
    lab.tap()
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    lab.csms.drop()
    await lab.until(lambda: bool(lab.csms.repeated), within=60, what="the repetition")
    assert lab.csms.repeated[0].message_id == start.message_id
    await lab.sleep(2)
    lab.tap()
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)


@case(
    "R16-TX-4",
    title="What was queued before the start was answered carries the id of the late answer",
    config={"MeterValueSampleInterval": "15", "MeterValuesSampledData": REGISTER},
)
async def ids_are_filled_in_when_sent(lab: Lab) -> None:
    lab.csms.rules.patience_s = 29.0
    lab.csms.next_transaction_id = 4711
    lab.csms.reply("StartTransaction", delay_s=40)
    lab.plug()
    await lab.sleep(2)
    lab.tap()
    await lab.csms.expect("StartTransaction", idTag=CARD)
    await lab.csms.quiet("MeterValues", for_s=38)
    await lab.csms.expect("MeterValues", transactionId=4711)
    await lab.csms.expect("MeterValues", transactionId=4711)
    lab.tap()
    await lab.csms.expect("StopTransaction", transactionId=4711)


async def odd_id(lab: Lab, transaction_id: int) -> None:
    """A backend that counts in its own way."""
    lab.csms.next_transaction_id = transaction_id
    await lab.begin_charging()
    await lab.csms.call(
        "RemoteStopTransaction", {"transactionId": transaction_id}, status="Accepted"
    )
    await lab.csms.expect("StopTransaction", transactionId=transaction_id, reason="Remote")


@case("R16-TX-10", title="transactionId 0 is an id", config=NO_VALUES)
async def id_zero(lab: Lab) -> None:
    await odd_id(lab, 0)


@case("R16-TX-10", title="A negative transactionId is an id", config=NO_VALUES)
async def id_negative(lab: Lab) -> None:
    await odd_id(lab, -7)


@case("R16-TX-10", title="transactionId up to the largest integer", config=NO_VALUES)
async def id_large(lab: Lab) -> None:
    await odd_id(lab, 2**31 - 1)


@case(
    "TC_037_3_CS",
    "R16-TX-7",
    title="A card accepted without the link and refused afterwards: the transaction ends",
    config=NO_VALUES,
    charging={"authorize_wait_s": 3.0},
)
async def refused_after_the_absence(lab: Lab) -> None:
    await one_session(lab, OTHER_CARD)  # remembered as accepted
    lab.csms.skip()
    await lab.csms.offline()
    lab.csms.card(OTHER_CARD, "Blocked")
    lab.plug()
    await lab.sleep(2)
    lab.tap(OTHER_CARD)
    await lab.closed()
    await lab.sleep(20)
    await lab.csms.online()
    start = await lab.csms.expect("StartTransaction", within=90, idTag=OTHER_CARD)
    stop = await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, reason="DeAuthorized"
    )
    await lab.opened()
    assert stop["meterStop"] > start["meterStart"]


@case(
    "R16-TX-7",
    title="The station dies right after the refusal of a running transaction: it ends after the restart",
    config=NO_VALUES,
    charging={"authorize_wait_s": 3.0},
)
async def killed_before_acting_on_a_refusal(lab: Lab) -> None:
    await one_session(lab, OTHER_CARD)
    await lab.csms.offline()
    lab.csms.card(OTHER_CARD, "Invalid")
    lab.plug()
    await lab.sleep(2)
    lab.tap(OTHER_CARD)
    await lab.closed()
    lab.csms.skip()
    await lab.csms.online()
    start = await lab.csms.expect("StartTransaction", within=90, idTag=OTHER_CARD)
    await lab.kill()
    await lab.csms.expect(
        "StopTransaction",
        within=90,
        transactionId=start.transaction_id,
        reason="DeAuthorized",
    )
    await lab.opened()


@case(
    "R16-TX-3",
    title="StopTransactionMaxMeterValues: the middle is thinned, begin and end stay",
    config={
        "MeterValueSampleInterval": "10",
        "MeterValuesSampledData": "",
        "StopTxnSampledData": REGISTER,
        "StopTransactionMaxMeterValues": "6",
    },
)
async def thinned_stop_data(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(305)
    lab.tap()
    stop = await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, transactionData=ANY
    )
    contexts = [
        v["sampledValue"][0].get("context", "Sample.Periodic") for v in stop["transactionData"]
    ]
    assert 4 <= len(contexts) <= 6
    assert contexts[0] == "Transaction.Begin" and contexts[-1] == "Transaction.End"
    assert set(contexts[1:-1]) == {"Sample.Periodic"}


@case(
    "R16-TX-3",
    title="StopTxnSampledData and StopTxnAlignedData empty: no transactionData at all",
    config={"MeterValueSampleInterval": "10", "StopTxnSampledData": "", "StopTxnAlignedData": ""},
)
async def no_stop_data(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(35)
    lab.tap()
    await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, transactionData=ABSENT
    )


@case(
    "R16-TX-9",
    title="The register goes on: each start is the stop before, over restarts and power cuts",
    config=NO_VALUES,
)
async def the_register_goes_on(lab: Lab) -> None:
    last = None
    for disturbance in ("none", "kill", "power"):
        start = await lab.begin_charging()
        if last is not None:
            assert start["meterStart"] == last["meterStop"]
        await lab.sleep(60)
        lab.tap()
        last = await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
        assert last["meterStop"] > start["meterStart"]
        await lab.opened()
        await lab.sleep(3)
        lab.unplug()
        await lab.sleep(3)
        if disturbance == "kill":
            await lab.kill()
            await lab.registered()
        elif disturbance == "power":
            await lab.power_loss()
            await lab.registered()
        lab.csms.skip()


@case(
    "R16-TX-1",
    "R16-TX-8",
    title="A full queue survives the death of the station: in order, once, before anything new",
    config=NO_VALUES,
    charging={"authorize_wait_s": 3.0},
)
async def a_full_queue_survives(lab: Lab) -> None:
    await one_session(lab)  # the card is remembered
    await lab.csms.offline()
    lab.csms.skip()
    for _ in range(3):
        await one_session(lab)
        await lab.kill(off_s=5)
    await lab.power_loss()
    await lab.csms.online()
    stops = []
    for _ in range(3):
        start = await lab.csms.expect("StartTransaction", within=120, idTag=CARD)
        stops.append(
            await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=CARD)
        )
    assert [s.at for s in stops] == sorted(s.at for s in stops)
    await lab.csms.quiet("StartTransaction", for_s=5)
    assert lab.csms.repeated == []


@case(
    "R16-TX-1",
    title="Other messages may overtake what waits: a card is asked about while a start is refused",
    config=QUICK,
    evses=2,
)
async def others_may_overtake(lab: Lab) -> None:
    lab.csms.reply("StartTransaction", times=2, error=("GenericError", "later"))
    lab.plug(1)
    await lab.sleep(2)
    lab.tap(CARD, 1)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    lab.plug(2)
    await lab.sleep(2)
    lab.tap(OTHER_CARD, 2)
    await lab.csms.expect("Authorize", idTag=OTHER_CARD)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD, within=40)
    second = await lab.csms.expect("StartTransaction", connectorId=2, idTag=OTHER_CARD)
    assert second.transaction_id > 0
