"""`chargepost demo`: everything virtual, an embedded backend and the page, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from controller.demo.bench_client import BenchClient, BenchError
from controller.demo.csms import Card, Csms
from controller.demo.setup import CARD, REFUSED_CARD, DemoSetup, free_port

PAGE_PORT = 8480
BENCH_PORT = 8481


def main(arguments: Namespace) -> int:
    """Start everything and wait. 0 after Ctrl-C, 1 if the station did not come up or ended by itself."""
    protocol = getattr(arguments, "protocol", None) or "ocpp1.6"
    if protocol != "ocpp1.6":
        print(f"demo: {protocol} is not built yet; ocpp1.6 is", file=sys.stderr)
        return 2
    return asyncio.run(_serve(protocol))


async def _serve(protocol: str) -> int:
    csms = Csms()
    csms.cards[CARD] = Card()
    csms.cards[REFUSED_CARD] = Card(status="Blocked")
    await csms.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="chargepost-demo-") as directory:
        setup = DemoSetup(
            directory=Path(directory),
            backend_url=csms.url,
            bench_port=free_port(BENCH_PORT),
            web_port=free_port(PAGE_PORT),
            sample_interval_s=5,
            protocol=protocol,
        )
        station = subprocess.Popen(
            [sys.executable, "-P", "-m", "controller.cli", "run", "--config", str(setup.write())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
        try:
            for wanted, port in ((PAGE_PORT, setup.web_port), (BENCH_PORT, setup.bench_port)):
                if port != wanted:
                    print(f"chargepost demo: port {wanted} is taken, {port} is used instead")
            print(f"chargepost demo: look at http://127.0.0.1:{setup.web_port}/", flush=True)
            if not await _is_up(setup, station, stop):
                return 0 if stop.is_set() else 1
            print(_what_to_try(setup), flush=True)
            return await _until_the_end(station, stop)
        finally:
            if station.poll() is None:
                station.terminate()
            await asyncio.to_thread(station.wait)
            await csms.stop()
            print("chargepost demo: ended, nothing is left running", flush=True)


async def _is_up(setup: DemoSetup, station: subprocess.Popen[bytes], stop: asyncio.Event) -> bool:
    """Until the page answers."""
    page = BenchClient(f"127.0.0.1:{setup.web_port}")
    while station.poll() is None and not stop.is_set():
        with contextlib.suppress(BenchError):
            await asyncio.to_thread(page.call, "GET", "/api/state")
            return True
        await asyncio.sleep(0.1)
    return False


async def _until_the_end(station: subprocess.Popen[bytes], stop: asyncio.Event) -> int:
    ended = asyncio.create_task(asyncio.to_thread(station.wait))
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        station.terminate()
        await ended
        return 0
    asked.cancel()
    print(
        f"chargepost demo: the station ended by itself (exit {station.returncode})", file=sys.stderr
    )
    return 1


def _what_to_try(setup: DemoSetup) -> str:
    bench = f"http://127.0.0.1:{setup.bench_port}/bench"
    return f"""\
Everything is virtual: vehicle, contactor, meter, card reader and the backend; the drivers and the station are real.
Try on the page, or from another terminal:
  .venv/bin/chargepost bench plug --bench 127.0.0.1:{setup.bench_port}            the cable goes in
  .venv/bin/chargepost bench tap {CARD} --bench 127.0.0.1:{setup.bench_port}    a card the backend knows ({REFUSED_CARD} is blocked)
  .venv/bin/chargepost status --config {setup.config}    what the station says about itself
  curl {bench}      the whole virtual world as JSON
Ctrl-C ends everything."""
