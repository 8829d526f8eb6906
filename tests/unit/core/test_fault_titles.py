"""Of several faults a person hears of the most dangerous one, in words."""

from __future__ import annotations

from controller.core.fault_titles import TITLES, told, worst
from controller.core.faults import CATALOGUE
from controller.core.guard_messages import FaultView


def view(name: str, detail: str = "") -> FaultView:
    return FaultView(name=name, detail=detail, latched=True, active=True)


def test_every_fault_that_stops_has_its_words() -> None:
    stopping = {kind.name for kind in CATALOGUE.values() if kind.inoperative}
    assert stopping == set(TITLES)


def test_a_welded_contactor_outranks_a_tripped_rcd() -> None:
    found = worst([view("rcd"), view("meter_silent"), view("weld")])
    assert found is not None and found.name == "weld"
    assert worst([view("meter_silent")]) is None


def test_name_and_detail_stand_behind_the_words() -> None:
    assert told(view("rcd")) == "the residual current device tripped (rcd)"
    assert told(view("diode", "-8 V")) == "the vehicle side shows no diode (diode: -8 V)"
