"""The configuration that the demo writes for itself."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

CARD = "04A2B3C4"
REFUSED_CARD = "04DEAD00"
PRICE = '{"priceText": "0.39 EUR/kWh", "chargingPrice": {"kWhPrice": 0.39}}'
"""What charging costs here; the page shows it."""


def free_port(preferred: int = 0) -> int:
    """`preferred` on loopback if it is free, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError("no free port on 127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSetup:
    """Where everything of one demo is."""

    directory: Path
    backend_url: str
    bench_port: int
    web_port: int | None
    sample_interval_s: int
    protocol: str = "ocpp1.6"
    lock: bool = True

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.directory / "demo.toml"

    def write(self) -> Path:
        """Write the configuration file; returns its path."""
        web = f'[web]\nlisten = "127.0.0.1:{self.web_port}"\n' if self.web_port else ""
        prices = f"DefaultPrice = '{PRICE}'\nCurrency = \"EUR\"" if self.web_port else ""
        self.config.write_text(
            f"""\
[station]
id = "DEMO1"
vendor = "chargepost"
model = "virtual"
state_dir = "{self.directory / "state"}"

[backend]
url = "{self.backend_url}"
protocol = "{self.protocol}"
retry_wait_minimum = 1
retry_random_range = 1
retry_repeat_times = 2

[[evse]]
evse_id = "DE*CPO*E1*1"
pilot = "sim"
contactor = "sim"
meter = "sim"
rcd = "sim"
lock = "{"sim" if self.lock else "none"}"

[rfid]
driver = "sim"

[bench]
listen = "127.0.0.1:{self.bench_port}"

{web}
[ocpp16]
MeterValueSampleInterval = "{self.sample_interval_s}"
{prices}
""",
            encoding="utf-8",
        )
        return self.config
