"""Tells the service manager (systemd, or `chargepost run`) how this process is: sd_notify(3)."""

from __future__ import annotations

import os
import socket


def notify(text: str) -> None:
    """Send `text` ("READY=1", "WATCHDOG=1", "STOPPING=1") to $NOTIFY_SOCKET. Never blocks, never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto(text.encode(), address)
        except OSError:
            return  # a supervisor that is gone or full must not disturb the one it watches
