"""What is noticed without being asked (R16-SEC-11)."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from controller.core.model import (
    BootReason,
    ChargingState,
    EvseFault,
    EvseView,
    SessionPhase,
)
from controller.core.security_events import SecurityEventType
from controller.core.settings_list import settings_for
from controller.maintenance import watch as module
from controller.maintenance.watch import Watch
from tests.unit.maintenance.fakes import Events
from tests.unit.station.fakes import FakeClock, installation

T = SecurityEventType


def watch(folder: Path) -> tuple[Watch, Events]:
    events = Events()
    settings = settings_for(installation(folder))
    return Watch(events=events, settings=settings, clock=FakeClock(), state_dir=folder), events


def view(evse: int, *faults: str) -> EvseView:
    return EvseView(
        evse=evse,
        phase=SessionPhase.IDLE,
        charging_state=ChargingState.IDLE,
        plugged=False,
        pilot_state="A1",
        faults=tuple(EvseFault(name=name) for name in faults),
    )


def test_starts(tmp_path: Path) -> None:
    for reason, types in {
        BootReason.POWER_UP: [T.STARTUP_OF_THE_DEVICE],
        BootReason.REMOTE_RESET: [T.STARTUP_OF_THE_DEVICE, T.RESET_OR_REBOOT],
        BootReason.WATCHDOG: [T.STARTUP_OF_THE_DEVICE, T.RESET_OR_REBOOT],
    }.items():
        seen, events = watch(tmp_path)
        seen.started(reason, "")
        assert [kind for kind, _ in events.raised] == types
    seen, events = watch(tmp_path)
    seen.started(BootReason.POWER_UP, "the disk is full")
    assert events.raised[-1] == (T.MEMORY_EXHAUSTION, "the disk is full")


def test_clock_steps_above_the_threshold(tmp_path: Path) -> None:
    seen, events = watch(tmp_path)
    for step_s in (1.0, -20.0, 20.0):
        seen.clock_set(step_s)
    assert events.raised == []
    seen.clock_set(-3600.4)
    assert events.raised == [(T.SETTING_SYSTEM_TIME, "corrected by -3600 s")]


def test_a_door_is_one_event_however_many_evses_it_covers(tmp_path: Path) -> None:
    seen, events = watch(tmp_path)
    seen.view_changed(view(1, "door", "rcd"))
    seen.view_changed(view(2, "door"))
    seen.view_changed(view(1, "door"))
    assert events.raised == [(T.TAMPER_DETECTION_ACTIVATED, "door")]
    seen.view_changed(view(1))
    seen.view_changed(view(2))
    seen.view_changed(view(2, "tilt"))
    seen.view_changed(view(1, "door"))
    assert [text for _, text in events.raised] == ["door", "tilt", "door"]


def test_scarce_memory_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, events = watch(tmp_path)
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(module, "MEMORY_FILE", meminfo)
    free = {"disk": 10_000_000_000, "memory": 500_000}

    def look() -> None:
        blocks = SimpleNamespace(f_bavail=free["disk"] // 4096, f_frsize=4096)
        monkeypatch.setattr(os, "statvfs", lambda _path: blocks)
        meminfo.write_text(f"MemTotal: 1 kB\nMemAvailable:  {free['memory']} kB\n")
        seen.look()

    look()
    assert events.raised == []
    free["disk"] = 40_000_000
    look()
    look()
    free["disk"] = 70_000_000  # not yet enough to call it over
    look()
    free["disk"] = 30_000_000
    look()
    assert events.raised == [(T.MEMORY_EXHAUSTION, "disk: 39 MB are free")]
    free.update(disk=200_000_000, memory=10_000)
    look()
    assert events.raised[-1] == (T.MEMORY_EXHAUSTION, "memory: 10 MB are free")
