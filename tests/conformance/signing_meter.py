"""The virtual meter of a case whose meter signs: OCMF records with the bench's test key."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hal.errors import MeterSilent
from hal.signing_map import SigningMap
from hal.sim.meter_signing import VirtualSigner
from hal.types import SignedRecord, SigningContext
from tests.conformance.world import WorldEvse, WorldMeter

CODES = SigningMap(command=1, status=2, length=3, record=4)
SIGNING_S = 0.3


class WorldSigningMeter(WorldMeter):
    """hal.ports.SigningMeter."""

    def __init__(self, evse: WorldEvse) -> None:
        super().__init__(evse)
        self._signer = VirtualSigner(evse.id, f"LAB{evse.id}")

    async def public_key(self) -> str:
        return self._signer.public_key

    async def sign_begin(self, about: SigningContext) -> SignedRecord:
        self._signer.name(about.id_token)
        return await self._sign(CODES.begin)

    async def sign_now(self) -> SignedRecord:
        return await self._sign(CODES.now)

    async def sign_end(self) -> SignedRecord:
        return await self._sign(CODES.end)

    async def _sign(self, code: int) -> SignedRecord:
        await asyncio.sleep(SIGNING_S)
        if self._evse.meter_silent:
            raise MeterSilent("no signature")
        now_ns = self._evse.timers.now_ns()
        self._signer.command(CODES, code, self._evse.energy_wh, now_ns)
        return SignedRecord(data=self._signer.record.decode(), encoding="OCMF")


def signed_values(payload: dict[str, Any]) -> dict[str, dict[str, str]]:
    """SignedMeterValueType by context, of a StopTransaction or MeterValues."""
    return {
        sampled["context"]: json.loads(sampled["value"])
        for value in payload.get("transactionData") or payload.get("meterValue") or []
        for sampled in value["sampledValue"]
        if sampled.get("format") == "SignedData"
    }


def verified(signed: dict[str, str], public_key: str) -> dict[str, Any]:
    """The OCMF payload, if its signature is good; `public_key` as the backend got it (SMV §3.2.2)."""
    marker, encoding, kind, key = base64.b64decode(public_key).decode().split(":")
    assert (marker, encoding, kind) == ("oca", "base16", "asn1"), public_key
    loaded = load_der_public_key(bytes.fromhex(key))
    assert isinstance(loaded, ec.EllipticCurvePublicKey)
    head, payload, tail = base64.b64decode(signed["signedMeterData"]).decode().split("|")
    assert head == signed["encodingMethod"] == "OCMF", head
    signature = bytes.fromhex(json.loads(tail)["SD"])
    loaded.verify(signature, payload.encode(), ec.ECDSA(SHA256()))
    found: dict[str, Any] = json.loads(payload)
    return found
