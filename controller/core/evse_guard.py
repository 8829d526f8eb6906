"""The guard of one EVSE, pure: `tick(inputs, now)` gives outputs and facts, `feed(message, now)` takes messages.

Permission comes from the station, everything else from the wires. The contactor follows `interlock`
every tick, level-triggered; nothing else can close it.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.core.connector import CableReader, LockCommand, LockRules
from controller.core.duty import STATIC_HIGH, STATIC_LOW, duty_for, signalled_amps
from controller.core.fault_book import FaultBook
from controller.core.faults import CATALOGUE
from controller.core.guard_messages import (
    ClearFault,
    EvseSnapshot,
    Fact,
    FactKind,
    Lock,
    Offer,
    RaiseFault,
    Unlock,
    Withdraw,
)
from controller.core.guard_messages import (
    SelfTest as SelfTestNow,
)
from controller.core.guard_values import SAFE, EvseGuardSettings, GuardInputs, GuardOutputs
from controller.core.iec61851 import (
    GRACE_STATES,
    POWER_STATES,
    PWM_STATES,
    Command,
    PilotEvent,
    PilotMachine,
)
from controller.core.interlock import (
    InterlockInputs,
    Permit,
    Refusal,
    SelfTestState,
    interlock,
)
from controller.core.offer_book import OfferBook, Signal
from controller.core.pilot_side import PilotSide
from controller.core.pilot_window import CONNECTED, Level
from controller.core.supervision import BOARD_OPENS_NS, ContactorWatch, SelfTest, watch_temperature
from hal.types import CpState, LockState

_MS = 1_000_000
_S = 1_000_000_000
GRACE_NS = 6 * _S
FAULT_F_NS = 310 * _MS
WAKE_PULSES = 5
WAKE_PULSE_NS = 700 * _MS
"""3.5 s of state F, in pulses shorter than a change of vehicles takes: between them the cable is looked at."""
GLIMPSE_NS = 1 * _S
"""The longest look; three equal windows end it."""
WAKE_AFTER_NS = 30 * _S

EvseMessage = Offer | Withdraw | RaiseFault | ClearFault | Lock | Unlock | SelfTestNow

_SEEN = {
    Level.A: PilotEvent.SEEN_A,
    Level.B: PilotEvent.SEEN_B,
    Level.C: PilotEvent.SEEN_C,
    Level.D: PilotEvent.SEEN_D,
    Level.E: PilotEvent.SEEN_E,
    None: PilotEvent.LOST,
}
_LOCKED = (LockState.LOCKED, LockState.NONE)


class EvseGuard:
    """Decides for one EVSE. `plug_id` counts plug-ins; `first_plug_id` differs at each start of the guard."""

    def __init__(
        self,
        settings: EvseGuardSettings,
        *,
        first_plug_id: int,
        latched: Mapping[str, str] | None = None,
        now_ns: int = 0,
    ) -> None:
        self.settings = settings
        self.plug_id = first_plug_id
        self.plugged = False
        self.faults = FaultBook()
        self.faults.restore(latched or {}, now_ns)
        self.offers = OfferBook(failsafe_amps=settings.failsafe_amps, hold_s=settings.hold_s)
        self.signal = Signal()
        self.machine = PilotMachine(ventilated=settings.ventilated)
        self.outputs = SAFE
        self.decision: Permit | Refusal = Permit()
        self._pilot = PilotSide(settings, self.faults, now_ns)
        self._watch = ContactorWatch(BOARD_OPENS_NS if settings.abilities.drives_contactor else 0)
        self._self_test = SelfTest()
        self._cable = CableReader(settings.has_proximity)
        self._lock = LockRules()
        self._keep_locked = False
        self._lock_state = LockState.NONE
        self._facts: list[Fact] = []
        self._now_ns = now_ns
        self._grace_until_ns: int | None = None
        self._f_until_ns = 0
        self._f_length_ns = FAULT_F_NS
        self._wake_pulses = 0
        self._glimpse_until_ns: int | None = None
        self._asked = False
        self._wake_armed = True
        self._waiting_since_ns = 0
        self._derated_amps = settings.max_amps
        self._confirmed = False
        self._held = False
        self._free = False
        self._closed = False

    # --- what others may ask ----------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing plugged, nothing under way: the tick may be slow."""
        return (
            not self.plugged
            and not self._closed
            and not self._pilot.filter.settling
            and self.offers.amps is None
            and self.outputs.duty == STATIC_HIGH
            and not self._self_test.running
        )

    @property
    def grace(self) -> bool:
        """Within the 6 s after a withdrawal."""
        return self._grace_until_ns is not None

    @property
    def trip_counts(self) -> bool:
        """A trip of the RCD seen now is a fault, not the self-test."""
        return not self._self_test.running

    def snapshot(self) -> EvseSnapshot:
        """Everything others may show."""
        return EvseSnapshot(
            evse=self.settings.evse,
            plugged=self.plugged,
            plug_id=self.plug_id,
            state=self.machine.state.value,
            contactor_commanded=self._closed,
            contactor_closed=self._watch.closed,
            offered_amps=self.signal.amps,
            hold=self.offers.hold,
            refusal=self.decision.reason.value if isinstance(self.decision, Refusal) else "",
            lock=self._lock_state.value,
            self_test=self._self_test.state.value,
            phases=self.offers.phases or self.settings.phases,
            cable_amps=self._cable.amps,
            permitted_amps=self.offers.amps or 0.0,
            faults=self.faults.views(),
        )

    def take_facts(self) -> list[Fact]:
        """Facts since the last call; their number `n` is given by the ring."""
        facts, self._facts = self._facts, []
        return facts

    # --- messages ---------------------------------------------------------------------------------

    def feed(self, message: EvseMessage, now_ns: int) -> bool:
        """Take one message; False = void or refused. It takes effect with the next tick."""
        self._now_ns = now_ns
        match message:
            case Offer():
                return self._take_offer(message, now_ns)
            case Withdraw():
                if message.plug_id != self.plug_id:
                    return False
                self.offers.withdraw()
            case RaiseFault():
                known = message.name in CATALOGUE
                detail = message.detail if known else f"{message.name} {message.detail}".strip()
                self.faults.raise_(message.name if known else "other", detail, now_ns)
            case ClearFault():
                return self._clear_fault(message, now_ns)
            case Lock():
                self._keep_locked = message.keep
                self._lock.inhibited = False
                self._lock.ask(LockCommand.LOCK, again=True)
            case Unlock():
                if self._closed or self._watch.closed:
                    return False
                self._keep_locked = False
                self._lock.ask(LockCommand.UNLOCK, again=True)
                self._lock.inhibited = True
            case SelfTestNow():
                if self._closed or self._watch.closed or self._self_test.running:
                    return False
                self._self_test.start(now_ns)
        return True

    def _take_offer(self, offer: Offer, now_ns: int) -> bool:
        if self.settings.abilities.sees_state and not self.plugged:
            return False
        return self.offers.take(offer, self.plug_id, now_ns)

    def _clear_fault(self, message: ClearFault, now_ns: int) -> bool:
        if message.by == "cause":
            self.faults.settle(message.name, now_ns)
            return True
        if not self.faults.clear(message.name):
            return False
        if message.name == "fail_to_close":
            self._watch.new_tries()
        elif message.name == "lock_jam":
            self._lock.replugged()
        elif message.name == "rcd_self_test":
            self._self_test.forget()
        elif message.name == "pp_invalid" and self.plugged:
            self._cable.start(now_ns)
        return True

    # --- the tick ---------------------------------------------------------------------------------

    def tick(self, inputs: GuardInputs, now_ns: int) -> GuardOutputs:
        """Look, decide, and say what the wires shall show from now on."""
        self._now_ns = now_ns
        self._check_inputs(inputs, now_ns)
        if self.settings.abilities.sees_state:
            self._look_at_pilot(inputs, now_ns)
        self._check_connector(inputs, now_ns)
        self.faults.tick(now_ns)
        self._tell_faults()
        self._decide_signal(now_ns)
        self._decide_contactor(inputs, now_ns)
        lock = self._move_lock(inputs.lock, now_ns)
        self._publish(lock)
        return self.outputs

    def _check_inputs(self, i: GuardInputs, now_ns: int) -> None:
        faults = self.faults
        faults.set("emergency_stop", i.emergency_stop, "pressed or its wire is broken", now_ns)
        if i.pilot_error or i.fresh:
            faults.set("pilot_board_lost", bool(i.pilot_error), i.pilot_error, now_ns)
        faults.set("internal", bool(i.internal_error), i.internal_error, now_ns)
        if not self._self_test.running:
            faults.set("rcd", i.rcd_tripped, "tripped or its wire is broken", now_ns)
        watch = self._watch
        watch.tick(self._closed, i.mirror, now_ns)
        if watch.closed != self._confirmed:
            self._confirmed = watch.closed
            self._tell(FactKind.CONTACTOR_CLOSED if watch.closed else FactKind.CONTACTOR_OPENED)
        faults.set("weld", watch.welded, "open commanded, mirror contact closed", now_ns)
        if watch.failed and not faults.stands("fail_to_close"):
            faults.raise_("fail_to_close", f"mirror contact open after {watch.tries} tries", now_ns)
        if self.settings.has_temperature:
            highest = self.settings.max_amps
            self._derated_amps = watch_temperature(i.celsius, highest, faults, now_ns)

    # --- pilot ------------------------------------------------------------------------------------

    def _look_at_pilot(self, i: GuardInputs, now_ns: int) -> None:
        pilot = self._pilot
        if self.machine.state is CpState.F:
            if not self._f_is_over(i, now_ns):
                return
            self._feed(PilotEvent.F_OVER)
            self._feed(_SEEN[pilot.level])
            self._follow_plug(now_ns)
        elif i.fresh:
            if pilot.take(i.reading, self.machine.state in PWM_STATES, now_ns):
                self._feed(_SEEN[pilot.level])
            self._follow_plug(now_ns)
        pilot.check_faults(now_ns)

    def _f_is_over(self, i: GuardInputs, now_ns: int) -> bool:
        """State F of a fault ends once; that of a wake-up pauses to see whether the vehicle is still there."""
        pilot = self._pilot
        if now_ns < self._f_until_ns:
            return False
        if not self._wake_pulses:
            pilot.resume(now_ns)
            return True
        if self._glimpse_until_ns is None:
            self._glimpse_until_ns = now_ns + GLIMPSE_NS
            pilot.glimpse(now_ns)
            return False
        if i.fresh:
            pilot.take(i.reading, False, now_ns)
        if pilot.level is None and now_ns < self._glimpse_until_ns:
            return False
        self._glimpse_until_ns = None
        self._wake_pulses -= 1
        if self._wake_pulses and pilot.level is Level.B and not pilot.unwatched:
            self._f_until_ns = now_ns + WAKE_PULSE_NS
            return False
        self._wake_pulses = 0
        return True

    def _follow_plug(self, now_ns: int) -> None:
        level = self._pilot.level
        if self.plugged and self._pilot.unwatched:
            self._unplug("out of sight for too long")
            self._feed(PilotEvent.LOST)
            self._feed(_SEEN[level])
            self._release_cable()
        if level in CONNECTED and not self.plugged:
            self.plugged = True
            self._free = False
            self.plug_id += 1
            self._new_plug_in()
            self._cable.start(now_ns)
            self._tell(FactKind.PLUGGED)
        elif level is Level.A and not self._free:
            self._free = True
            self.faults.unplugged()  # also those of an earlier life, when nothing is plugged in any more
            if self.plugged:
                self._unplug()

    def _unplug(self, why: str = "") -> None:
        self.plugged = False
        self._new_plug_in()
        self._cable.stop()
        self._tell(FactKind.UNPLUGGED, detail=why)

    def _release_cable(self) -> None:
        """Unplugged at the vehicle: a cable is not kept from its owner, unless the station asked for it."""
        if not self._keep_locked:
            self._lock.ask(LockCommand.UNLOCK)

    def _new_plug_in(self) -> None:
        """Nothing of one vehicle is carried over to the next."""
        self.offers.withdraw()
        if self.signal.amps:
            self._tell(FactKind.OFFERED, 0.0, "unplugged")
        self.signal.forget()
        self._pilot.diode.forget()
        self._self_test.forget()
        self._lock.replugged()
        self._watch.new_tries()
        self._wake_armed = True
        self._asked = False

    def _feed(self, event: PilotEvent) -> None:
        """One event into the machine, and what its row commands."""
        before = self.machine.state
        commands = self.machine.feed(event)
        state = self.machine.state
        for command in commands:
            if command is Command.OPEN:
                self._grace_until_ns = None
            elif command is Command.START_GRACE:
                self._grace_until_ns = self._now_ns + GRACE_NS if self._closed else None
            elif command is Command.PILOT_F:
                self._f_until_ns = self._now_ns + self._f_length_ns
            elif command is Command.UNLOCK:
                self._release_cable()
            elif command is Command.PWM_OFF:
                self._pilot.diode.forget()
        if state is before:
            return
        if state in PWM_STATES:
            self._grace_until_ns = None
        if state is CpState.B2:
            self._waiting_since_ns = self._now_ns
            self._asked = self._asked if before in PWM_STATES else False
        elif state in POWER_STATES:
            self._asked = True
        elif state is CpState.E:
            self._lock.ask(LockCommand.UNLOCK)
        self._tell(FactKind.PILOT, state.value, event.value)

    # --- connector --------------------------------------------------------------------------------

    def _check_connector(self, i: GuardInputs, now_ns: int) -> None:
        test = self._self_test
        before = test.state
        if (
            self.plugged
            and before is SelfTestState.PENDING
            and not self._closed
            and not i.rcd_tripped
        ):
            test.start(now_ns)
        test.tick(i.rcd_tripped, i.rcd_test_absent or not self.settings.has_rcd, now_ns)
        if test.state is not before:
            if test.state is SelfTestState.FAILED:
                self.faults.raise_(
                    "rcd_self_test", "the test current did not make it trip and recover", now_ns
                )
            if test.state in (SelfTestState.PASSED, SelfTestState.FAILED):
                self._tell(FactKind.SELF_TEST, test.state.value)
        if self._cable.tick(i.pp_ohms, now_ns):
            self._tell(FactKind.CABLE, self._cable.amps)
        elif self._cable.failed:
            self._cable.failed = False
            self.faults.raise_("pp_invalid", "no valid coding resistor", now_ns)
        if i.lock is not self._lock_state:
            self._lock_state = i.lock
            self._tell(FactKind.LOCK, i.lock.value)

    def _move_lock(self, state: LockState, now_ns: int) -> LockCommand | None:
        lock = self._lock
        may_unlock = not self._closed and not self._watch.closed and not self.outputs.closed
        command = lock.tick(state, may_unlock, now_ns)
        if lock.jammed and not self.faults.stands("lock_jam"):
            lock.jammed = False
            lock.want = None
            self.faults.raise_("lock_jam", "not locked after 5 tries", now_ns)
        self.faults.set("unlock_jam", lock.unlock_jammed, "not unlocked", now_ns)
        return command

    # --- decisions --------------------------------------------------------------------------------

    def _decide_signal(self, now_ns: int) -> None:
        sees, machine, offers = self.settings.abilities.sees_state, self.machine, self.offers
        if self.faults.tripped:
            self.faults.tripped = False
            self._f_length_ns = FAULT_F_NS
            self._feed(PilotEvent.TRIP)
        offers.tick(
            self._closed and not self.grace and (not sees or machine.state in POWER_STATES), now_ns
        )
        if offers.hold is not self._held:
            self._held = offers.hold
            self._tell(FactKind.HOLD_STARTED if offers.hold else FactKind.HOLD_ENDED)
        target_amps = self._target_amps()
        amps = self.signal.may_be(target_amps, now_ns)
        if sees:
            if amps > 0:
                self._feed(PilotEvent.OFFER)
            elif machine.state in PWM_STATES:
                self._feed(PilotEvent.WITHDRAW)
                self._wake_armed = True
            self._wake(now_ns)
            if self._grace_until_ns is not None and now_ns >= self._grace_until_ns:
                self._feed(PilotEvent.GRACE_OVER)
            if machine.state not in PWM_STATES:
                amps = 0.0
        elif amps > 0:
            self._grace_until_ns = None
        elif self._closed:
            if self.signal.amps > 0:
                self._grace_until_ns = now_ns + GRACE_NS
            elif self._grace_until_ns is not None and now_ns >= self._grace_until_ns:
                self._grace_until_ns = None
        if self.signal.set(amps, now_ns):
            self._tell(FactKind.OFFERED, amps, self._why(amps))

    def _why(self, amps: float) -> str:
        if self.faults.stopping or self.faults.blocking:
            return "fault"
        if amps:
            return "hold" if self.offers.hold else "offer"
        if self.machine.state is CpState.F:
            return "wake-up"
        return "withdrawn" if self.offers.amps is None else "paused"

    def _permitted_amps(self) -> float | None:
        """The permission after cable, installation, temperature and board; None = none."""
        amps = self.offers.amps
        if amps is None:
            return None
        amps = min(amps, self.settings.max_amps, self._derated_amps)
        if self._cable.amps is not None:
            amps = min(amps, self._cable.amps)
        fixed = self.settings.abilities.currents_amps
        if fixed:
            amps = max((step for step in fixed if step <= amps), default=0.0)
        return signalled_amps(amps)

    def _target_amps(self) -> float:
        """What shall be signalled: 0 until everything that must come before PWM is done."""
        amps = self._permitted_amps()
        if not amps or self.faults.stopping or self.faults.blocking:
            return 0.0
        if not self.settings.abilities.sees_state:
            self._start_blind_test()
        elif not self.plugged:
            return 0.0
        if not self.faults.stands("lock_jam"):
            self._lock.ask(LockCommand.LOCK)
        if self._self_test.state is not SelfTestState.PASSED or not self._cable.known:
            return 0.0
        if self._lock_state not in _LOCKED and not self.signal.amps:
            return 0.0
        return amps

    def _start_blind_test(self) -> None:
        """A board that sees no plug-in is tested when permission comes."""
        if self._self_test.state is SelfTestState.PENDING and not self._closed:
            self._self_test.start(self._now_ns)

    def _wake(self, now_ns: int) -> None:
        """A.5.3: once, after 30 s in B2 without C since PWM began."""
        if (
            self._wake_armed
            and self.machine.state is CpState.B2
            and not self._asked
            and now_ns - self._waiting_since_ns >= WAKE_AFTER_NS
        ):
            self._wake_armed = False
            self._wake_pulses = WAKE_PULSES
            self._f_length_ns = WAKE_PULSE_NS
            self._feed(PilotEvent.WAKE)

    def _decide_contactor(self, i: GuardInputs, now_ns: int) -> None:
        abilities, state = self.settings.abilities, self.machine.state
        self.decision = self._ask_interlock(
            InterlockInputs(
                state=state,
                plugged=self.plugged,
                offer_amps=self._permitted_amps(),
                closed=self._closed,
                grace=self.grace,
                stopping_fault=self.faults.stopping,
                blocking_fault=self.faults.blocking,
                self_test=self._self_test.state,
                lock=i.lock,
                diode_seen=self._pilot.diode.seen,
                cable_known=self._cable.known,
                resting=self._watch.resting(now_ns),
                known_open=i.mirror is not True,
                steady=not self._pilot.filter.settling,
                ventilated=self.settings.ventilated,
                sees_state=abilities.sees_state,
                checks_diode=abilities.checks_diode,
                drives_contactor=abilities.drives_contactor,
            )
        )
        self._closed = isinstance(self.decision, Permit)
        if not self._closed and self._grace_until_ns is not None and state in GRACE_STATES:
            self._grace_until_ns = None  # opened for another reason: no grace is left to use

    def _ask_interlock(self, inputs: InterlockInputs) -> Permit | Refusal:
        return interlock(inputs)

    def _publish(self, lock: LockCommand | None) -> None:
        state, amps = self.machine.state, self.signal.amps
        if state is CpState.F and self._glimpse_until_ns is None:
            duty = STATIC_LOW
        else:
            duty = duty_for(amps) if amps > 0 else STATIC_HIGH
        was, test, cable = self.outputs, self._self_test.line, self._cable.wanted
        if (
            was.closed is not self._closed
            or was.duty != duty
            or was.lock is not lock
            or was.rcd_test is not test
            or was.read_proximity is not cable
        ):
            self.outputs = GuardOutputs(
                closed=self._closed, duty=duty, lock=lock, rcd_test=test, read_proximity=cable
            )

    # --- facts ------------------------------------------------------------------------------------

    def _tell_faults(self) -> None:
        faults = self.faults
        if faults.raised:
            for name, detail in faults.raised:
                self._tell(FactKind.FAULT_RAISED, name, detail)
            faults.raised = []
        if faults.cleared:
            for name in faults.cleared:
                self._tell(FactKind.FAULT_CLEARED, name)
            faults.cleared = []

    def _tell(self, kind: FactKind, value: str | float | None = None, detail: str = "") -> None:
        self._facts.append(
            Fact(
                n=0,
                at_ns=self._now_ns,
                evse=self.settings.evse,
                kind=kind,
                plug_id=self.plug_id,
                value=value,
                detail=detail,
            )
        )
