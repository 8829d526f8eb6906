"""`check` about signing meters and first-boot values of prices."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller import config
from tests.unit.station.test_signed_metering import KEY
from tests.unit.test_config import MINIMAL, problems, warnings, write

SIGNING = MINIMAL.replace(
    'meter = "sim"', 'meter = {driver = "modbus-signing", map = "ocmf-reference"}'
)


def with_key(text: str, key: str) -> str:
    return text.replace("[bench]", f'meter_public_key = "{key}"\n[bench]')


def test_a_signing_meter_is_compiled_as_such(tmp_path: Path) -> None:
    verdict = config.check(write(tmp_path, with_key(SIGNING, KEY)))
    assert verdict.installation is not None, verdict.lines()
    (evse,) = verdict.installation.evses
    assert evse.meter_signs and evse.meter_public_key == KEY
    assert evse.meter is not None and evse.meter["wires"] == "sim"
    plain = config.check(write(tmp_path, MINIMAL)).installation
    assert plain is not None and not plain.evses[0].meter_signs


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("nonsense!", "is neither hexadecimal nor Base64"),
        (KEY[:-2], "its ASN.1 structure says 91 bytes, but there are 90"),
        (KEY + "00", "its ASN.1 structure says 91 bytes, but there are 92"),
        (KEY[54:], "must be the whole ASN.1 structure of the key"),
        ("3082010A" + "00" * 266, "is too long for a configuration key"),
    ],
)
def test_bad_keys_are_named(tmp_path: Path, key: str, words: str) -> None:
    (line,) = problems(tmp_path, with_key(SIGNING, key))
    assert line.startswith("x.toml:") and "meter_public_key" in line and words in line


def test_a_key_without_effect_is_warned_about(tmp_path: Path) -> None:
    assert "does not sign" in warnings(tmp_path, with_key(MINIMAL, KEY))


def test_first_boot_values_of_prices(tmp_path: Path) -> None:
    good = """[ocpp16]
DefaultPrice = '{"priceText": "0.39 €/kWh"}'
Currency = "EUR"
SupportedLanguages = "en,pt-BR"
Language = "pt-BR"
"DefaultPriceText,de" = '{"priceText": "0,39 €/kWh"}'
"""
    assert problems(tmp_path, MINIMAL + good) == []
    (line,) = problems(tmp_path, MINIMAL + '[ocpp16]\nDefaultPrice = "0.39"\n')
    assert "DefaultPrice" in line and "priceText" in line
    (line,) = problems(tmp_path, MINIMAL + '[ocpp16]\nTimeOffset = "Berlin"\n')
    assert "TimeOffset" in line


@pytest.mark.parametrize(
    ("name", "words"), [("eastron-sdm120", "has no table [signing]"), ("nobody", "no register map")]
)
def test_a_map_that_does_not_sign_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (line,) = problems(tmp_path, SIGNING.replace("ocmf-reference", name))
    assert "meter" in line and words in line
