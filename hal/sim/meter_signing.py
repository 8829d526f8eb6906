"""What the virtual meter signs: OCMF records with a test key that everybody knows.

Only for the bench: whoever has this file can forge such records.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hal.signing_map import SigningMap

TEST_SECRET = 0x0CAF0CAF0CAF0CAF0CAF0CAF0CAF0CAF0CAF0CAF0CAF0CAF0CAF0CAF0CAF0000
"""Plus the EVSE's number: the private key of its meter (secp256r1)."""
SIGNING_NS = 50_000_000
"""How long the meter says that it is busy."""
DONE, FAILED = 0, 2


class VirtualSigner:
    """Of one meter."""

    def __init__(self, evse: int, serial_number: str) -> None:
        # Imported here: only a bench with a signing meter pays for it.
        from cryptography.hazmat.primitives.asymmetric import ec

        self._key = ec.derive_private_key(TEST_SECRET + evse, ec.SECP256R1())
        self._serial_number = serial_number
        self._records = 0
        self._id_token = ""
        self._tariff = b""
        self._open = False
        self._ready_ns = 0
        self.record = b""

    @property
    def public_key(self) -> str:
        """As printed on the meter: hexadecimal of the ASN.1 structure."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return der.hex().upper()

    def status(self, at: SigningMap, now_ns: int) -> int:
        """The status register."""
        return at.busy if now_ns < self._ready_ns else DONE

    def name(self, id_token: str) -> None:
        """Who the next measurement is for."""
        self._id_token = id_token

    def tariff(self, part: bytes, at: int) -> None:
        """The price of the next measurement, in pieces."""
        self._tariff = (self._tariff[:at].ljust(at, b"\0") + part).rstrip(b"\0")

    def command(self, at: SigningMap, code: int, energy_wh: float, now_ns: int) -> None:
        """Sign the register as begin, in between or end."""
        if code not in (at.begin, at.now, at.end):
            return
        kind = {at.begin: "B", at.now: "C"}.get(code, "E" if self._open else "P")
        self._open = code != at.end
        self._records += 1
        self.record = self._signed(self._payload(kind, energy_wh)).encode("ascii")
        self._ready_ns = now_ns + SIGNING_NS

    def _payload(self, kind: str, energy_wh: float) -> dict[str, Any]:
        at = datetime.now(UTC)
        return {
            "FV": "1.0",
            "GI": "chargepost bench",
            "GS": self._serial_number,
            "PG": f"T{self._records}",
            "MV": "chargepost",
            "MM": "OCMF reference",
            "MS": self._serial_number,
            "IS": bool(self._id_token),
            "IT": "ISO14443" if self._id_token else "NONE",
            "ID": self._id_token,
            **({"TT": self._tariff.decode("ascii", "replace")} if self._tariff else {}),
            "RD": [
                {
                    "TM": f"{at:%Y-%m-%dT%H:%M:%S},{at.microsecond // 1000:03d}+0000 U",
                    "TX": kind,
                    "RV": round(energy_wh / 1000, 3),
                    "RI": "1-b:1.8.0",
                    "RU": "kWh",
                    "RT": "AC",
                    "EF": "",
                    "ST": "G",
                }
            ],
        }

    def _signed(self, payload: dict[str, Any]) -> str:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        text = json.dumps(payload, separators=(",", ":"))
        signature = self._key.sign(text.encode(), ec.ECDSA(SHA256()))
        tail = json.dumps(
            {"SA": "ECDSA-secp256r1-SHA256", "SD": signature.hex().upper()}, separators=(",", ":")
        )
        return f"OCMF|{text}|{tail}"
