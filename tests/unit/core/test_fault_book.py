"""The catalogue and the book of faults: latching, clearing, retries (hardware.md §3.2; DESIGN §1.4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.core.fault_book import FaultBook
from controller.core.faults import CATALOGUE, Clearing, Severity, clears, kind_of, render_markdown

S = 1_000_000_000
BENCH_NAMES = [
    "rcd",
    "rcd_self_test",
    "no_pe",
    "weld",
    "fail_to_close",
    "outlet_live",
    "over_current",
    "over_voltage",
    "under_voltage",
    "mains_lost",
    "phase_lost",
    "over_temperature",
    "temperature_derate",
    "temperature_sensor",
    "cp_noise",
    "cp_short",
    "diode",
    "ventilation",
    "pp_invalid",
    "cable_cut",
    "lock_jam",
    "unlock_jam",
    "emergency_stop",
    "tilt",
    "shock",
    "door",
    "water",
    "meter_silent",
    "meter_garbage",
    "meter_backwards",
    "reader_dead",
    "pilot_board_lost",
    "supply_low",
    "other",
]
ERROR_CODES_16 = [
    "ConnectorLockFailure",
    "EVCommunicationError",
    "GroundFailure",
    "HighTemperature",
    "InternalError",
    "OtherError",
    "OverCurrentFailure",
    "OverVoltage",
    "PowerMeterFailure",
    "PowerSwitchFailure",
    "ReaderFailure",
    "UnderVoltage",
]


@pytest.mark.parametrize("name", BENCH_NAMES)
def test_every_bench_name_is_in_the_catalogue(name: str) -> None:
    assert CATALOGUE[name].name == name


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda k: k.name)
def test_every_entry_is_complete(kind) -> None:
    assert kind.error_16 in ERROR_CODES_16
    assert kind.mrec == "" or (kind.mrec.startswith("CX") and len(kind.mrec) == 5)
    assert kind.component
    assert kind.variable
    assert kind.installer.endswith(".")
    assert kind.driver.endswith(".")
    assert clears(kind)
    assert kind.inoperative is (kind.severity is not Severity.WARNING)
    assert kind.latched is (kind.clearing is not Clearing.SELF)


def test_unknown_names_are_other() -> None:
    assert kind_of("MREC6UnderVoltage") is CATALOGUE["other"]


def test_docs_page_is_generated() -> None:
    docs = Path(__file__).parents[3] / "docs" / "faults.md"
    assert docs.read_text() == render_markdown(), (
        "run: python -m controller.core.faults > docs/faults.md"
    )


def test_latched_fault_is_left_only_by_command_once_its_cause_is_gone() -> None:
    book = FaultBook()
    book.raise_("rcd", "", 0)
    assert book.tripped
    assert book.stopping
    assert not book.clear("rcd")
    book.settle("rcd", S)
    book.unplugged()
    book.tick(10**6 * S)
    assert book.stands("rcd")
    assert book.clear("rcd")
    assert not book.stopping
    assert not book.clear("rcd")


def test_fault_until_unplug() -> None:
    book = FaultBook()
    book.raise_("fail_to_close", "", 0)
    book.tick(10**6 * S)
    assert book.latched() == {"fail_to_close": ""}
    book.unplugged()
    assert book.latched() == {}
    assert book.cleared == ["fail_to_close"]


def test_fault_that_clears_by_itself_waits_its_time() -> None:
    book = FaultBook()
    book.set("over_voltage", True, "", 0)
    assert book.blocking
    assert not book.stopping
    book.set("over_voltage", False, "", S)
    book.tick(60 * S)
    assert book.stands("over_voltage")
    book.raise_("over_voltage", "again", 60 * S)
    book.set("over_voltage", False, "", 61 * S)
    book.tick(120 * S)
    assert book.stands("over_voltage")
    book.tick(121 * S)
    assert not book.stands("over_voltage")


def test_over_current_is_tried_again_three_times() -> None:
    book, now = FaultBook(), 0
    for _ in range(3):
        book.raise_("over_current", "", now)
        book.tick(now + 59 * S)
        assert book.stands("over_current")
        now += 60 * S
        book.tick(now)
        assert not book.stands("over_current")
    book.raise_("over_current", "", now)
    book.tick(now + 10**6 * S)
    assert book.stands("over_current")
    book.unplugged()
    assert not book.stands("over_current")


def test_restored_faults_block_but_do_not_trip_again() -> None:
    book = FaultBook()
    book.restore({"weld": "seen", "over_current": ""}, 1000 * S)
    assert book.blocking
    assert not book.tripped
    book.tick(1059 * S)
    assert book.stands("over_current"), "the waiting time begins anew"
    assert [view.active for view in book.views()] == [False, False]
    assert book.clear("weld")


def test_warnings_change_nothing() -> None:
    book = FaultBook()
    book.raise_("meter_silent", "", 0)
    assert not (book.stopping or book.blocking or book.tripped or book.changed)
