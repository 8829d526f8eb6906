"""Signed meter values in 1.6: format SignedData, whose value is the SignedMeterValueType of 2.x as JSON (SMV §3.2)."""

from __future__ import annotations

import base64
import json

from controller.core.model import SignedMeterValue


def signed_data(signed: SignedMeterValue) -> dict[str, str]:
    """What a sampledValue has instead of its plain value; the meter's own words are only wrapped."""
    value = {
        "signedMeterData": base64.b64encode(signed.data.encode()).decode(),
        "signingMethod": signed.signing_method,
        "encodingMethod": signed.encoding,
        "publicKey": signed.public_key,
    }
    return {"format": "SignedData", "value": json.dumps(value, separators=(",", ":"))}
