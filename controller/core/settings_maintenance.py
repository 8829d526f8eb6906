"""Settings of logs, firmware and security events (ocpp-requirements §1.2)."""

from __future__ import annotations

from controller.core.settings import Access, Kind, Setting
from controller.core.settings_words import DAY_S, boolean, whole

PROTOCOLS = ("HTTPS", "HTTP", "FTP", "FTPS", "SFTP")

# fmt: off
MAINTENANCE: tuple[Setting, ...] = (
    boolean("DisableSecurityEventNotifications", False, "", "",
        "security events are only logged, the backend is not told"),
    Setting(key16="SupportedFileTransferProtocols", component="OCPPCommCtrlr", variable="FileTransferProtocols",
        kind=Kind.LIST, default=",".join(PROTOCOLS), access=Access.READ_ONLY, choices=PROTOCOLS,
        doc="how logs are uploaded and firmware is downloaded"),
    whole("", 20, "ClockCtrlr", "TimeAdjustmentReportingThreshold",
        "a correction of the clock by more than this is a security event", unit="s", most=DAY_S),
)
# fmt: on
