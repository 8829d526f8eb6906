"""A signing meter at work: begin and end of a transaction, values in between, the public key (SMV, REG-EICH).

The meter's records are passed on as they are. What is signed, and with which values the key goes out, stands
in settings that exist only where a meter signs (`core/settings_signed_values.py`).
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import Awaitable, Callable

from controller.clock import Clock
from controller.core.installation import EvseInstallation
from controller.core.metering import REGISTER
from controller.core.model import IdToken, SignedMeterValue
from controller.core.settings import Settings
from controller.core.settings_signed_values import key_name
from controller.core.signed_values import PublicKeyRule, public_key_field
from controller.station.waiting import within
from hal.errors import HalTransientError
from hal.ports import SigningMeter
from hal.types import SignedRecord, SigningContext

_log = logging.getLogger(__name__)

BEGIN_WAIT_S = 10.0
END_WAIT_S = 30.0
"""Some meters take that long (SMV §2.3.1)."""
NOW_WAIT_S = 10.0
RETRY_S = 1.0
KEY_RETRY_S = 2.0
UNSIGNED = "the meter does not sign its values, and without a signature nothing may be billed"


class SigningPolicy:
    """What the settings want signed on one EVSE; asked at each use."""

    def __init__(self, settings: Settings, evse: int) -> None:
        self._settings = settings
        self._key_name = key_name(evse)

    @property
    def transactions(self) -> bool:
        """Start and end of each transaction."""
        names = ("SampledDataSignReadings", "AlignedDataSignReadings")
        return any(self._settings.boolean(name) for name in names)

    @property
    def started(self) -> bool:
        """The values that go out right after the start."""
        on = self._settings.boolean("SampledDataSignReadings")
        return on and self._settings.boolean("SampledDataSignStartedReadings")

    @property
    def start_members(self) -> list[str]:
        """What goes out right after the start; empty = nothing does."""
        return self._settings.members("StartTxnSampledData")

    @property
    def started_has_key(self) -> bool:
        """The first signed value that goes out is the one after the start."""
        return self.started and REGISTER in self.start_members

    def updated(self, *, aligned: bool) -> bool:
        """Values in between, clock-aligned or sampled."""
        kind = "Aligned" if aligned else "Sampled"
        on = self._settings.boolean(f"{kind}DataSignReadings")
        return on and self._settings.boolean(f"{kind}DataSignUpdatedReadings")

    def key(self, *, only_here: bool) -> str:
        """The publicKey field of one value. `only_here`: the one of its transaction that has it."""
        rule = PublicKeyRule(self._settings.text("PublicKeyWithSignedMeterValue"))
        if rule is PublicKeyRule.NEVER or (
            rule is PublicKeyRule.ONCE_PER_TRANSACTION and not only_here
        ):
            return ""
        return self._settings.text(self._key_name)

    def learn_key(self, printed: str) -> None:
        """The meter told its key."""
        self._settings.learn(self._key_name, public_key_field(printed))

    def is_key(self, printed: str) -> bool:
        """The configured key is this one, however it is printed."""
        return _plain(self.printed_key) == _plain(printed)

    @property
    def printed_key(self) -> str:
        """As printed on the meter; "" = not known."""
        return base64.b64decode(self._settings.text(self._key_name)).decode().rpartition(":")[2]

    @property
    def knows_key(self) -> bool:
        """Configured, or told by the meter."""
        return bool(self._settings.text(self._key_name))


def _plain(key: str) -> str:
    return re.sub(r"[\s:.\-]", "", key.removeprefix("0x")).upper()


class Signer:
    """Of one EVSE. None = the meter did not sign in time; the loss is logged once."""

    def __init__(
        self,
        evse: EvseInstallation,
        meter: SigningMeter,
        settings: Settings,
        clock: Clock,
        tariff: Callable[[IdToken], str] = lambda _: "",
    ) -> None:
        """`tariff`: the price that the driver with this token was shown; it is signed along."""
        self.policy = SigningPolicy(settings, evse.id)
        self._evse = evse
        self._meter = meter
        self._clock = clock
        self._tariff = tariff
        self._lock = asyncio.Lock()
        self._lost = False
        self._told_key = False

    async def begin(self, token: IdToken | None) -> SignedMeterValue | None:
        """Sign the register as the begin of a transaction; with the key if the end report shall carry it."""
        if not self.policy.knows_key and not self._told_key:
            await within(self.find_key(), self._clock, BEGIN_WAIT_S)
        about = SigningContext(
            id_token=token.value if token is not None else "",
            evse_id=self._evse.evse_id,
            tariff_text=self._tariff(token) if token is not None else "",
        )
        record = await self._sign(lambda: self._meter.sign_begin(about), BEGIN_WAIT_S)
        return self._value(record, only_here=not self.policy.started_has_key)

    async def now(self) -> SignedMeterValue | None:
        """Sign the register inside the transaction; None also while the meter is busy signing."""
        if self._lock.locked():
            return None
        return self._value(await self._sign(self._meter.sign_now, NOW_WAIT_S), only_here=False)

    async def end(self) -> SignedMeterValue | None:
        """Sign the register as the end of the transaction."""
        record = await self._sign(self._meter.sign_end, END_WAIT_S)
        alone = record is not None and record.covers_begin and not self.policy.started_has_key
        return self._value(record, only_here=alone)

    async def _sign(
        self, ask: Callable[[], Awaitable[SignedRecord]], seconds: float
    ) -> SignedRecord | None:
        record = await within(self._until_signed(ask), self._clock, seconds)
        if record is None and not self._lost:
            _log.warning("evse=%d the meter does not sign", self._evse.id)
        elif record is not None and self._lost:
            _log.warning("evse=%d the meter signs again", self._evse.id)
        self._lost = record is None
        return record

    async def _until_signed(self, ask: Callable[[], Awaitable[SignedRecord]]) -> SignedRecord:
        async with self._lock:
            while True:
                try:
                    return await ask()
                except HalTransientError as error:
                    _log.info("evse=%d signing: %s", self._evse.id, error)
                except Exception as error:  # noqa: BLE001 - whatever a driver does: the driver of the car gets an answer
                    _log.error("evse=%d signing failed: %r", self._evse.id, error)
                await self._clock.sleep(RETRY_S)

    async def find_key(self) -> None:
        """Ask the meter for its key until it answers; a configured one goes before it."""
        while True:
            try:
                printed = await self._meter.public_key()
                self._told_key = True
                if printed:
                    self._learn(printed)
                return
            except ValueError as error:
                _log.warning("evse=%d the meter's public key is none: %s", self._evse.id, error)
                return
            except HalTransientError as error:
                _log.debug("evse=%d public key: %s", self._evse.id, error)
            await self._clock.sleep(KEY_RETRY_S)

    def _learn(self, printed: str) -> None:
        if not self.policy.knows_key:
            self.policy.learn_key(printed)
        elif not self.policy.is_key(printed):
            _log.warning("evse=%d the meter tells another public key: %s", self._evse.id, printed)

    def _value(self, record: SignedRecord | None, *, only_here: bool) -> SignedMeterValue | None:
        if record is None:
            return None
        return SignedMeterValue(
            data=record.data,
            encoding=record.encoding,
            signing_method=record.signing_method,
            public_key=self.policy.key(only_here=only_here),
            covers_begin=record.covers_begin,
        )
