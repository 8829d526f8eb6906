"""Which way to the backend is tried next and what is kept (R16-SEC-1 to R16-SEC-4, R16-BOOT-9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.core.network_profile import MoveWhen, NetworkProfile, NetworkState, Staged, Trial
from controller.core.security_events import SecurityEventType as Event
from controller.ocpp.endpoint import NoEndpoint, Problem
from controller.ocpp.network import TRIAL_ATTEMPTS, Network, configured_profile
from controller.ports_security import Peer, TlsMaterial
from tests.unit.ocpp.fakes import installation

OLD_KEY, NEW_KEY = b"o" * 16, b"n" * 20
BASIC = NetworkProfile(url="ws://old/ocpp", identity="CP1", security_profile=1, password=OLD_KEY)
CHANGED = Event.RECONFIGURATION_OF_SECURITY_PARAMETERS


class FakeTrust:
    """Has roots, and a certificate if told so."""

    def __init__(self) -> None:
        self.has_certificate = False
        self.done: list[str] = []

    def material(self, *, with_certificate: bool) -> TlsMaterial | None:
        if with_certificate and not self.has_certificate:
            return None
        return TlsMaterial(certificate_file="own.pem" if with_certificate else "")

    def worked(self, peer: Peer) -> None:
        self.done.append("worked")

    def refused(self) -> None:
        self.done.append("refused")


class FakeStore:
    """Keeps the last state; may be full."""

    def __init__(self) -> None:
        self.saved: NetworkState | None = None
        self.full = False

    def load(self) -> NetworkState | None:
        return self.saved

    def save(self, state: NetworkState) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.saved = state


class Rig:
    def __init__(self, profile: NetworkProfile = BASIC) -> None:
        self.trust = FakeTrust()
        self.store = FakeStore()
        self.events: list[tuple[Event, str]] = []
        self.renewed = 0
        self.network = self.again(NetworkState.first(profile))
        self.network.attach(renew=self.renew)

    def again(self, state: NetworkState) -> Network:
        return Network(
            state,
            store=self.store,
            trust=self.trust,
            subprotocols=("ocpp1.6",),
            tell=lambda event, text: self.events.append((event, text)),
        )

    def renew(self) -> None:
        self.renewed += 1

    def told(self) -> list[Event]:
        return [event for event, _ in self.events]

    def key(self) -> bytes | None:
        return self.network.next().password

    def url(self) -> str:
        return self.network.next().url


# --- what may be tried at all -------------------------------------------------------------------


def test_r16_sec_1_each_profile_gets_what_it_needs() -> None:
    assert Rig(replace(BASIC, security_profile=0, password=None)).network.next().headers() == {}
    basic = Rig().network.next()
    assert basic.headers() != {}
    assert basic.tls is None
    rig = Rig(replace(BASIC, security_profile=2))
    assert rig.network.next().url == "wss://old/ocpp"
    assert rig.network.next().tls is not None
    rig = Rig(replace(BASIC, security_profile=3, password=None))
    rig.trust.has_certificate = True
    endpoint = rig.network.next()
    assert endpoint.tls is not None
    assert endpoint.tls.certificate_file == "own.pem"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_r16_sec_1_a_connection_with_less_than_the_profile_is_not_made(number: int) -> None:
    rig = Rig(replace(BASIC, security_profile=number, password=None))
    with pytest.raises(NoEndpoint, match=f"security profile {number} needs"):
        rig.network.next()


# --- a new key ----------------------------------------------------------------------------------


def test_r16_sec_3_the_new_key_is_tried_and_taken_when_it_worked() -> None:
    rig = Rig()
    assert rig.network.set_password(NEW_KEY)
    assert rig.store.saved is not None
    assert rig.store.saved.candidate is not None
    assert rig.key() == NEW_KEY
    rig.network.worked()
    assert rig.network.state.current.password == NEW_KEY
    assert rig.network.state.candidate is None
    assert rig.told() == [CHANGED]
    assert NEW_KEY.decode() not in str(rig.events)


def test_r16_sec_3_a_refused_key_makes_way_for_the_old_one() -> None:
    rig = Rig()
    rig.network.set_password(NEW_KEY)
    assert rig.key() == NEW_KEY
    assert rig.network.failed(Problem.PASSWORD, "401"), "the old one may follow at once"
    assert rig.key() == OLD_KEY
    rig.network.worked()
    assert rig.network.state == NetworkState.first(BASIC)
    assert rig.told() == [CHANGED, Event.FAILED_TO_AUTHENTICATE_AT_CSMS, CHANGED]


def test_r16_sec_3_while_both_keys_are_refused_both_stay_possible() -> None:
    rig = Rig()
    rig.network.set_password(NEW_KEY)
    keys = []
    for n in range(4):
        keys.append(rig.key())
        assert rig.network.failed(Problem.PASSWORD, "401") is (n == 0)
    assert keys == [NEW_KEY, OLD_KEY, NEW_KEY, OLD_KEY]
    rig.key()
    rig.network.worked()
    assert rig.network.state.current.password == NEW_KEY


def test_r16_sec_3_an_unreachable_backend_says_nothing_about_a_key() -> None:
    rig = Rig()
    rig.network.set_password(NEW_KEY)
    for _ in range(20):
        assert rig.key() == NEW_KEY
        assert not rig.network.failed(Problem.UNREACHABLE, "nobody")
    assert rig.network.state.trial is Trial.KEY


def test_r16_sec_3_both_keys_survive_a_restart() -> None:
    rig = Rig()
    rig.network.set_password(NEW_KEY)
    assert rig.store.saved is not None
    after = rig.again(rig.store.saved)
    assert after.next().password == NEW_KEY
    after.failed(Problem.PASSWORD, "401")
    assert after.next().password == OLD_KEY


def test_a_key_that_cannot_be_stored_changes_nothing() -> None:
    rig = Rig()
    rig.store.full = True
    with pytest.raises(OSError, match="No space"):
        rig.network.set_password(NEW_KEY)
    assert rig.key() == OLD_KEY


def test_a_success_that_cannot_be_stored_is_tried_again_later() -> None:
    rig = Rig()
    rig.network.set_password(NEW_KEY)
    rig.key()
    rig.store.full = True
    rig.network.worked()
    assert rig.network.state.candidate is not None
    rig.store.full = False
    rig.key()
    rig.network.worked()
    assert rig.network.state.candidate is None


# --- a higher profile ---------------------------------------------------------------------------


def test_r16_sec_4_a_higher_profile_counts_when_it_worked() -> None:
    rig = Rig()
    rig.network.set_security_profile(2)
    assert rig.url() == "wss://old/ocpp"
    assert rig.network.state.current.security_profile == 1
    rig.network.worked()
    assert rig.network.state.current.security_profile == 2
    assert rig.trust.done == ["worked"]


@pytest.mark.parametrize(
    "problem", [Problem.CERTIFICATE, Problem.UNREACHABLE, Problem.PASSWORD, Problem.CLOSED]
)
def test_r16_sec_4_back_to_the_profile_before(problem: Problem) -> None:
    rig = Rig()
    rig.network.set_security_profile(2)
    for n in range(TRIAL_ATTEMPTS):
        assert rig.url() == "wss://old/ocpp"
        assert rig.network.failed(problem, "no") is (n == TRIAL_ATTEMPTS - 1)
    assert rig.url() == "ws://old/ocpp"
    assert rig.network.state == NetworkState.first(BASIC)
    assert rig.events[-1][0] is CHANGED


def test_what_the_certificate_may_be_to_blame_for_is_passed_on() -> None:
    rig = Rig(replace(BASIC, security_profile=3))
    rig.trust.has_certificate = True
    rig.network.next()
    rig.network.failed(Problem.UNREACHABLE, "")
    assert rig.trust.done == []
    rig.network.failed(Problem.OUR_CERTIFICATE, "")
    assert rig.trust.done == ["refused"]


# --- events -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "event"),
    [
        (Problem.PASSWORD, Event.FAILED_TO_AUTHENTICATE_AT_CSMS),
        (Problem.OUR_CERTIFICATE, Event.FAILED_TO_AUTHENTICATE_AT_CSMS),
        (Problem.CERTIFICATE, Event.INVALID_CSMS_CERTIFICATE),
        (Problem.TLS_VERSION, Event.INVALID_TLS_VERSION),
        (Problem.TLS_CIPHER, Event.INVALID_TLS_CIPHER_SUITE),
        (Problem.UNREACHABLE, None),
        (Problem.HTTP, None),
    ],
)
def test_r16_sec_5_and_r16_boot_9_each_reason_is_told_once_per_loss(
    problem: Problem, event: Event | None
) -> None:
    rig = Rig()
    expected = [] if event is None else [event]
    for _ in range(3):
        rig.network.next()
        rig.network.failed(problem, "why")
    assert rig.told() == expected
    rig.network.worked()
    rig.network.failed(problem, "why")
    assert rig.told() == expected * 2


# --- another backend ----------------------------------------------------------------------------


def moving(rig: Rig, leftover: int = 0) -> None:
    rig.network.stage(Staged(url="ws://new/x", password=NEW_KEY))
    rig.network.move(MoveWhen.IDLE)
    assert rig.url() == "ws://old/ocpp", "not before its moment"
    rig.network.begin_move(leftover)


def test_a_move_succeeds_with_the_registration_only() -> None:
    rig = Rig()
    moving(rig, leftover=2)
    assert rig.url() == "ws://new/x"
    rig.network.worked()
    assert rig.network.state.current == BASIC
    assert rig.network.registered() == 2
    assert rig.network.state.current == replace(BASIC, url="ws://new/x", password=NEW_KEY)
    assert rig.network.state.leftover == 2
    rig.network.leftover_done()
    assert rig.network.state.leftover == 0
    assert rig.network.registered() is None


def test_a_move_fails_after_some_attempts_or_when_given_up() -> None:
    rig = Rig()
    moving(rig)
    for _ in range(TRIAL_ATTEMPTS):
        rig.network.next()
        rig.network.failed(Problem.HTTP, "HTTP 404")
    assert rig.url() == "ws://old/ocpp"
    assert rig.network.state.note == "stayed with ws://old/ocpp: HTTP 404"
    assert rig.told()[-1] is CHANGED
    rig.network.move(MoveWhen.NOW)
    rig.network.begin_move(0)
    assert rig.url() == "ws://new/x"
    rig.network.give_up_move("too slow")
    assert rig.url() == "ws://old/ocpp"


def test_the_old_backend_does_not_count_as_the_new_one() -> None:
    rig = Rig()
    rig.network.next()
    rig.network.stage(Staged(url="ws://new/x"))
    rig.network.move(MoveWhen.IDLE)
    assert rig.network.registered() is None
    rig.network.begin_move(0)
    assert rig.network.registered() is None, "the connection of the moment is the old one"


def test_a_move_can_be_cancelled() -> None:
    rig = Rig()
    rig.network.stage(Staged(url="ws://new/x"))
    rig.network.move(MoveWhen.IDLE)
    rig.network.cancel_move()
    assert (rig.network.state.move, rig.network.state.staged) == (None, Staged())


# --- what the configuration says ----------------------------------------------------------------


def test_the_password_of_the_configuration_is_text_a_first_boot_key_may_be_hex() -> None:
    hexed = "00ff" * 8
    named = configured_profile(installation(password=hexed))
    assert named.password == hexed.encode()
    first = configured_profile(installation(first_boot={"authorizationKEY": hexed}))
    assert first.password == b"\x00\xff" * 8
    assert configured_profile(installation()).password is None
