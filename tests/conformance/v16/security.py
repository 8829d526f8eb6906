"""What the cases of keys, security profiles and certificates share."""

from __future__ import annotations

from tests.conformance.lab import Lab

PASSWORD = "0123456789abcdef"
BASIC = {"security_profile": 1, "password": PASSWORD}
TLS_BASIC = {"security_profile": 2, "password": PASSWORD}
TLS_OWN = {"security_profile": 3}
QUIET = {"MeterValueSampleInterval": "0", "CpoName": "Operator"}
FREE_ROOTS = {**QUIET, "AdditionalRootCertificateCheck": "false"}
SERIAL = {"serial_number": "SN-42"}


async def handshakes(lab: Lab, count: int, within: float = 60.0) -> None:
    """That many in all, and the station is registered."""
    await lab.until(lambda: len(lab.csms.handshakes) >= count, within, "a new connection")
    await lab.until(lambda: lab.station.backend.connected, within, "the registration")


async def alive(lab: Lab) -> None:
    """Frames go both ways."""
    await lab.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"}, status="Accepted")
    await lab.csms.expect("Heartbeat")


async def install(
    lab: Lab, pem: str, kind: str = "CentralSystemRootCertificate", status: str = "Accepted"
) -> None:
    """InstallCertificate."""
    request = {"certificateType": kind, "certificate": pem}
    await lab.csms.call("InstallCertificate", request, status=status)


async def security_event(lab: Lab, kind: str) -> None:
    """It may have been told already while the station registered."""
    await lab.until(
        lambda: any(
            c.action == "SecurityEventNotification" and c["type"] == kind for c in lab.csms.seen
        ),
        60,
        f"the event {kind}",
    )
