"""The guard process: `python -m controller.guard.process --installation F`.

Order matters: outputs are known open before anything else is imported, and are made safe on every way
out. Exit: 0 ended by SIGTERM or SIGINT, 1 a failure, 2 wrong usage or configuration.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from controller.guard.claim import open_coils
from hal.errors import HalError, HalPermanentError

if TYPE_CHECKING:
    import socket

    from controller.core.installation import EvseInstallation, Installation
    from controller.guard.evse_wires import EvseParts, EvseWires
    from controller.guard.latch_store import Latched, LatchStore
    from controller.guard.loop import GuardLoop
    from hal.ports import Contactor
    from hal.wires import Wires

FACTORY_NEW = "CHARGEPOST_FACTORY_NEW"
"""Set by the supervisor for the first guard of a station without any state."""
USAGE = "usage: python -m controller.guard.process --installation FILE"


class _Ending:
    """SIGTERM and SIGINT: before the loop runs they end the process by SystemExit, then the loop."""

    def __init__(self) -> None:
        self.loop: GuardLoop | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.loop is None:
            raise SystemExit(0)
        self.loop.stop()

    def world_gone(self) -> None:
        """The virtual hardware ended: nothing is left to control. Called on another thread."""
        import logging

        logging.getLogger("controller.guard").error("the virtual hardware is gone: the guard ends")
        os.kill(os.getpid(), signal.SIGTERM)


def main(argv: list[str]) -> int:
    """Run the guard until a signal ends it."""
    if len(argv) != 2 or argv[0] != "--installation":
        print(USAGE, file=sys.stderr)
        return 2
    ending = _Ending()
    gc.disable()  # until everything is loaded
    try:
        data = json.loads(Path(argv[1]).read_bytes())
        bench = open_coils(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"guard: {argv[1]} is not a compiled installation: {error}", file=sys.stderr)
        return 2
    try:
        with ExitStack() as opened:
            _run(data, bench, opened, ending)
    except HalPermanentError as error:
        print(f"guard: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    except (HalError, OSError) as error:
        print(f"guard: {error}", file=sys.stderr)
        return 1
    return 0


def _run(
    data: Mapping[str, Any], bench: socket.socket | None, opened: ExitStack, ending: _Ending
) -> None:
    from controller.guard.latch_store import LatchStore

    told_new = os.environ.get(FACTORY_NEW) == "1"
    store = LatchStore(Path(data["state_dir"]), told_new=told_new)
    latched, lost = _load(
        store
    )  # before any driver: one that fails must not leave a new station unmarked
    wires = _WireChoice(data, bench, opened, ending.world_gone)
    contactors = {evse["id"]: _open_contactor(evse, wires, opened) for evse in data["evses"]}

    import logging

    from controller.core.installation import Installation
    from controller.guard.background_log import log_in_background
    from controller.guard.loop import GuardLoop
    from controller.guard.realtime import become_real_time
    from controller.log import setup
    from controller.notify import notify

    setup("guard")
    logger = logging.getLogger("controller.guard")
    logging.getLogger("transitions").setLevel(logging.WARNING)  # it tells every callback
    installation = Installation.from_dict(data)
    if lost:
        logger.error("%s: charging is blocked until the fault is cleared", lost)
    evses = []
    for evse in installation.evses:
        parts = _open_parts(evse, contactors[evse.id], wires, opened)
        evses.append(_make_evse(installation, evse, parts, latched.get(evse.id, {}), lost))
        opened.callback(evses[-1].make_safe)
    loop = GuardLoop(
        evses,
        socket_path=Path(installation.runtime_dir) / "guard.sock",
        latch_store=store,
        guard_id=os.urandom(8).hex(),
        boot_id=_boot_id(),
        alive=notify,
    )
    ending.loop = loop
    gc.collect()
    gc.freeze()
    gc.enable()
    refused = become_real_time()  # not before: loading must not starve the others
    if refused:
        logger.warning("not permitted: %s; under load the guard may react late", ", ".join(refused))
    opened.callback(log_in_background().end)
    with _outputs_safe_first(evses, loop):
        loop.run()
    notify("STOPPING=1")
    logger.info("ticks by lateness (ms %s and more): %s", _limits(), loop.lateness.buckets)


@contextmanager
def _outputs_safe_first(evses: list[EvseWires], loop: GuardLoop) -> Iterator[None]:
    """However the loop ends: outputs safe, then everything else."""
    try:
        yield
    finally:
        for evse in evses:
            evse.make_safe()
        loop.close()


class _WireChoice:
    """Virtual wires for tables that say so, real ones for the others; each opened when first needed."""

    def __init__(
        self,
        data: Mapping[str, Any],
        bench: socket.socket | None,
        opened: ExitStack,
        world_gone: Callable[[], None],
    ) -> None:
        self._data = data
        self._bench = bench
        self._opened = opened
        self._world_gone = world_gone
        self._wires: dict[bool, Wires] = {}

    def of(self, table: Mapping[str, Any]) -> Wires:
        """The wires this driver table is plugged into."""
        virtual = table.get("wires") == "sim"
        if virtual not in self._wires:
            wires = self._open_virtual() if virtual else self._open_real()
            self._opened.callback(wires.close)
            self._wires[virtual] = wires
        return self._wires[virtual]

    def _open_virtual(self) -> Wires:
        from hal.sim.client import open_wires

        return open_wires(self._data, role="guard", lost=self._world_gone, called=self._bench)

    def _open_real(self) -> Wires:
        from hal.wires import RealWires

        return RealWires()


def _open_contactor(
    evse: Mapping[str, Any], wires: _WireChoice, opened: ExitStack
) -> Contactor | None:
    from hal import registry

    table = evse["contactor"]
    if table is None:
        return None
    contactor: Contactor = registry.open("contactor", table, wires.of(table), evse["id"])
    opened.callback(contactor.close)
    contactor.permit(False)
    return contactor


def _open_parts(
    evse: EvseInstallation, contactor: Contactor | None, wires: _WireChoice, opened: ExitStack
) -> EvseParts:
    from controller.guard.evse_wires import EvseParts
    from hal import registry

    def part(name: str, table: Mapping[str, Any] | None) -> Any:
        if table is None:
            return None
        driver = registry.open(name, table, wires.of(table), evse.id)
        opened.callback(driver.close)
        return driver

    return EvseParts(
        pilot=part("pilot", evse.pilot),
        contactor=contactor,
        rcd=part("rcd", evse.rcd),
        lock=part("lock", evse.lock),
        proximity=part("proximity", evse.proximity),
        thermometer=part("temperature", evse.temperature),
    )


def _make_evse(
    installation: Installation,
    evse: EvseInstallation,
    parts: EvseParts,
    latched: Mapping[str, str],
    lost: str,
) -> EvseWires:
    from controller.core.evse_guard import EvseGuard
    from controller.core.guard_values import EvseGuardSettings
    from controller.guard.evse_wires import EvseWires

    settings = EvseGuardSettings(
        evse=evse.id,
        abilities=parts.pilot.abilities,
        max_amps=evse.max_amps,
        phases=evse.phases,
        failsafe_amps=installation.charging.failsafe_amps,
        hold_s=installation.charging.hold_s,
        has_rcd=parts.rcd is not None,
        has_proximity=parts.proximity is not None,
        has_temperature=parts.thermometer is not None,
    )
    if lost:
        latched = {**latched, "guard_state_lost": lost}
    first_plug_id = int.from_bytes(os.urandom(4), "big") >> 2  # room to count up within 31 bits
    guard = EvseGuard(
        settings, first_plug_id=first_plug_id, latched=latched, now_ns=time.monotonic_ns()
    )
    return EvseWires(parts, guard)


def _load(store: LatchStore) -> tuple[Latched, str]:
    """Latched faults, and why they are not known ("" = they are)."""
    from controller.guard.latch_store import StateLostError

    try:
        return store.load(), ""
    except StateLostError as error:
        return {}, str(error)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _limits() -> str:
    from controller.guard.loop import LATE_BUCKETS_MS

    return " ".join(f"<{limit}" for limit in LATE_BUCKETS_MS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
