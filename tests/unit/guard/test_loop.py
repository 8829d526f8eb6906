"""The guard's loop, tick by tick: what is told when."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from controller.core.guard_messages import (
    Fact,
    FactKind,
    FactsSince,
    Hello,
    RaiseFault,
    Snapshot,
    decode,
    encode,
)
from controller.guard.latch_store import LatchStore
from controller.guard.loop import SNAPSHOT_EVERY_NS, GuardLoop

from .test_evse_wires import Bed


class SlowStore(LatchStore):
    """A card that takes its time once `slow` is set."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        self.go_on = threading.Event()
        self.go_on.set()

    def save(self, latched):  # type: ignore[no-untyped-def]
        self.go_on.wait(10)
        super().save(latched)


def test_no_snapshot_tells_a_latch_before_it_is_stored(tmp_path: Path) -> None:
    bed, store = Bed(), SlowStore(tmp_path)
    loop = GuardLoop(
        [bed.evse], socket_path=tmp_path / "run" / "guard.sock", latch_store=store, guard_id="g",
        boot_id="b", alive=lambda text: None, now_ns=lambda: bed.wire.now,
    )  # fmt: skip
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(tmp_path / "run" / "guard.sock"))
    client.settimeout(0.1)
    client.sendall(encode(Hello(role="station", pid=1)) + encode(FactsSince(n=0)))
    for _ in range(5):
        loop._server.wait(0)
    loop._tick_all(fresh=True)
    store.go_on.clear()
    bed.guard.feed(RaiseFault(evse=1, name="no_pe"), bed.wire.now)
    for _ in range(3):
        bed.wire.now += SNAPSHOT_EVERY_NS
        loop._tick_all(fresh=True)
    assert not any("no_pe" in names(told) for told in read(client))
    store.go_on.set()
    loop._writer.end(5)
    loop._tick_all(fresh=True)
    told = read(client)
    assert any(isinstance(m, Fact) and m.kind is FactKind.FAULT_RAISED for m in told)
    assert any("no_pe" in names(message) for message in told)
    client.close()
    loop.close()


def names(message: object) -> list[str]:
    if not isinstance(message, Snapshot):
        return []
    return [fault.name for evse in message.evses for fault in evse.faults]


def read(client: socket.socket) -> list[object]:
    data = b""
    try:
        while chunk := client.recv(65536):
            data += chunk
    except TimeoutError:
        pass
    return [decode(line) for line in data.splitlines()]
