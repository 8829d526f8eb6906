"""The relay beside a board that works by itself (config/examples/relay-beside-board.toml), through one charge."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from controller.core.evse_guard import EvseGuard
from controller.core.guard_messages import FactKind, Offer, Withdraw
from controller.core.guard_values import EvseGuardSettings
from controller.guard.evse_wires import EvseParts, EvseWires
from hal import registry
from tests.wire.wires import TestWires

MS = 1_000_000
EXAMPLE = Path(__file__).parents[3] / "config/examples/relay-beside-board.toml"


class Bed:
    """Relay, plug contact and status output, ticked by hand."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **more: bool) -> None:
        wires = TestWires(tmp_path)
        table = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))["evse"][0]["pilot"] | more
        self.now = 0
        monkeypatch.setattr("hal.drivers.pilot_relay.time.monotonic_ns", lambda: self.now)
        self.pilot = registry.open("pilot", table, wires, 1)
        self.relay = wires.factory.pin(table["pin"])
        self.plug = wires.factory.pin(table["connected_pin"])
        self.asks = wires.factory.pin(table["charging_pin"])
        self.guard = EvseGuard(
            EvseGuardSettings(evse=1, abilities=self.pilot.abilities, max_amps=16.0),
            first_plug_id=7,
        )
        self.wires = EvseWires(
            EvseParts(pilot=self.pilot, contactor=None), self.guard, now_ns=lambda: self.now
        )
        self.offered = False
        self.facts: list[tuple[FactKind, object]] = []

    def ticks(self, n: int) -> None:
        for _ in range(n):
            self.now += 10 * MS
            if self.offered:
                self.guard.feed(Offer(evse=1, plug_id=self.guard.plug_id, max_amps=16.0), self.now)
            self.wires.tick(True)
            self.facts += [(fact.kind, fact.value) for fact in self.guard.take_facts()]

    def told(self, *kinds: FactKind) -> list[FactKind]:
        return [kind for kind, _ in self.facts if kind in kinds]


def test_example_through_one_charge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bed = Bed(tmp_path, monkeypatch)
    bed.ticks(500)
    assert not bed.guard.faults.views()
    bed.plug.drive_high()
    bed.ticks(20)
    assert bed.guard.plugged
    assert not bed.relay.state
    bed.offered = True
    bed.ticks(20)
    assert bed.relay.state
    bed.asks.drive_high()
    bed.ticks(100)
    assert bed.guard.snapshot().contactor_closed
    assert bed.guard.snapshot().refusal == ""
    bed.offered = False
    bed.guard.feed(Withdraw(evse=1, plug_id=bed.guard.plug_id), bed.now)
    bed.ticks(2)
    assert not bed.relay.state
    bed.asks.drive_low()
    assert bed.guard.snapshot().contactor_closed, "the board needs its time to open"
    bed.ticks(110)
    assert not bed.guard.snapshot().contactor_closed
    bed.plug.drive_low()
    bed.ticks(5)
    assert bed.told(
        FactKind.PLUGGED, FactKind.UNPLUGGED, FactKind.CONTACTOR_CLOSED, FactKind.CONTACTOR_OPENED,
        FactKind.FAULT_RAISED,
    ) == [
        FactKind.PLUGGED, FactKind.CONTACTOR_CLOSED, FactKind.CONTACTOR_OPENED, FactKind.UNPLUGGED,
    ]  # fmt: skip


def test_a_pilot_cut_on_purpose_is_no_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed = Bed(tmp_path, monkeypatch, plug_contact=False)
    bed.ticks(1000)
    assert not bed.guard.faults.views()
    assert not bed.guard.plugged


def test_wake_up_keeps_the_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bed = Bed(tmp_path, monkeypatch)
    bed.plug.drive_high()
    bed.offered = True
    bed.ticks(4000)
    assert bed.told(FactKind.PLUGGED, FactKind.UNPLUGGED) == [FactKind.PLUGGED]
    assert bed.relay.state
