"""A signing meter over its wire: real driver, virtual meter, records that anybody can verify (REG-EICH-1 to -3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hal import registry
from hal.errors import MeterSilent, Misconfigured
from hal.ports import SigningMeter
from hal.register_map import load
from hal.signing_map import parse
from hal.sim.client import open_wires
from hal.types import SigningContext
from tests.wire.sim_bench import Bench, evse

TABLE = {
    "driver": "modbus-signing",
    "map": "ocmf-reference",
    "port": "meter",
    "address": 1,
    "wires": "sim",
}


def verify(record: str, printed_key: str) -> dict[str, object]:
    """The payload, if the signature over its exact bytes is good."""
    head, payload, tail = record.split("|")
    assert head == "OCMF"
    key = load_der_public_key(bytes.fromhex(printed_key))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(bytes.fromhex(json.loads(tail)["SD"]), payload.encode(), ec.ECDSA(SHA256()))
    found: dict[str, object] = json.loads(payload)
    return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("bench"), {**evse(1), "meter": TABLE})
    open_wires(bench.installation, "station").close()
    yield bench
    bench.stop()


async def test_begin_now_and_end_are_signed(bench: Bench) -> None:
    await asyncio.to_thread(bench.done, "PUT", "/evses/1/meter", {"energy_wh": 1234.0})
    wires = open_wires(bench.installation, "station")
    meter = registry.open("meter", TABLE, wires, 1)
    assert issubclass(type(meter), SigningMeter)
    for _ in range(40):
        try:
            assert (await meter.read()).energy_wh == pytest.approx(1234.0, abs=1)
            break
        except MeterSilent:
            await asyncio.sleep(0.05)
    key = await meter.public_key()
    price = "0.34 €/kWh" + ", idle fee 4 €/h" * 12
    about = SigningContext(id_token="04A2B3C4", tariff_text=price)
    begin = await meter.sign_begin(about)
    between = await meter.sign_now()
    end = await meter.sign_end()
    again = await meter.sign_end()
    payloads = [verify(record.data, key) for record in (begin, between, end, again)]
    assert [p["RD"][0]["TX"] for p in payloads] == ["B", "C", "E", "P"]  # type: ignore[index]
    assert {p["ID"] for p in payloads} == {"04A2B3C4"}
    assert {p["TT"] for p in payloads} == {price.replace("€", "EUR")}
    assert [p["PG"] for p in payloads] == ["T1", "T2", "T3", "T4"]
    assert payloads[0]["RD"][0]["RV"] == 1.234  # type: ignore[index]
    assert (begin.encoding, begin.signing_method, end.covers_begin) == ("OCMF", "", False)
    with pytest.raises(InvalidSignature):
        verify(begin.data.replace("1.234", "1.233"), key)
    assert await meter.read()
    await meter.close()
    wires.close()


def test_a_map_without_signing_is_refused() -> None:
    from hal.drivers.meter_modbus import Settings
    from hal.drivers.meter_modbus_signing import SigningModbusMeter
    from hal.wires import RealWires

    with pytest.raises(Misconfigured, match="signing"):
        SigningModbusMeter(Settings(map="eastron-sdm120", port="/dev/null"), RealWires(), 1)


def test_the_table_is_checked() -> None:
    assert load("ocmf-reference").signing is not None
    for wrong, words in (
        ({"command": 1, "status": 2, "length": 3}, "record"),
        ({"command": "1"}, "must be int"),
        ({"comand": 1}, "not known"),
        ({"command": 70_000}, "0 to 65535"),
    ):
        with pytest.raises(Misconfigured, match=words):
            parse(wrong)
