"""Settings of the connection's security (security whitepaper §7) and of moving to another backend.

The values of most are kept with the way to the backend, not among the settings (`core/network_profile.py`);
the blocks of `ocpp/v16/security_keys.py` answer their changes.
"""

from __future__ import annotations

from controller.core.network_profile import MoveWhen, PasswordEncoding
from controller.core.settings import Access, Kind, Setting
from controller.core.settings_words import boolean, whole

CANCEL_MOVE = "Cancel"
_R = Access.READ_ONLY
_W = Access.WRITE_ONLY
_URL = r"(wss?://([^/\s?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[1-9]\d{0,4})?(/[^\s?#]*)?)?"
_IDENTITY = r"([A-Za-z0-9*\-_=:+|@. ]{1,48})?"

# fmt: off
SECURITY: tuple[Setting, ...] = (
    Setting(key16="AuthorizationKey", component="SecurityCtrlr", variable="BasicAuthPassword", kind=Kind.STRING,
        default="", access=_W, maximum=40,
        doc="key of Basic authentication, 16 to 20 bytes as hex digits; tried at once, the old one stays until it worked"),
    whole("SecurityProfile", 0, "SecurityCtrlr", "SecurityProfile",
        "0 none, 1 Basic, 2 TLS with Basic, 3 TLS with a certificate; may only be raised", most=3),
    Setting(key16="CpoName", component="SecurityCtrlr", variable="OrganizationName", kind=Kind.STRING, default="",
        maximum=64, doc="organization in the station's certificate; without it none is asked for"),
    boolean("AdditionalRootCertificateCheck", True, "SecurityCtrlr", "AdditionalRootCertificateCheck",
        "a new root of the backend replaces the old one and must be signed by it", access=_R, by_installer=True),
    whole("CertificateSignedMaxChainSize", 10_000, "SecurityCtrlr", "MaxCertificateChainSize",
        "characters of a certificate chain that the backend may send", access=_R),
    whole("CertificateStoreMaxLength", 16, "", "", "certificates of authorities that can be installed", access=_R),
    whole("CertSigningWaitMinimum", 30, "SecurityCtrlr", "CertSigningWaitMinimum",
        "wait for a signed certificate before the request is repeated; doubles each time", unit="s", least=1, most=86_400),
    whole("CertSigningRepeatTimes", 2, "SecurityCtrlr", "CertSigningRepeatTimes",
        "how often the request for a certificate is repeated", most=20),
    Setting(key16="PasswordEncoding", kind=Kind.STRING, default=PasswordEncoding.AUTO.value,
        choices=tuple(e.value for e in PasswordEncoding),
        doc="how AuthorizationKey and BackendPassword are read: Hex, Text, or Auto = hex digits if they can be such"),
    boolean("TolerateMissingSubprotocol", False, "", "",
        "stay connected to a backend that does not name the sub-protocol"),
    Setting(key16="BackendUrl", kind=Kind.STRING, default="", maximum=500, pattern=_URL,
        doc="backend to move to, without the station's identity; nothing happens before BackendApply"),
    Setting(key16="BackendIdentity", kind=Kind.STRING, default="", maximum=48, pattern=_IDENTITY,
        doc="what the station is called at the backend to move to"),
    Setting(key16="BackendPassword", kind=Kind.STRING, default="", maximum=40, access=_W,
        doc="key of Basic authentication at the backend to move to"),
    whole("BackendSecurityProfile", 0, "", "", "security profile at the backend to move to; not lower than now", most=3),
    Setting(key16="BackendApply", kind=Kind.STRING, default=CANCEL_MOVE,
        choices=(*(when.value for when in MoveWhen), CANCEL_MOVE),
        doc="move to the other backend when the station is idle, or now; Cancel forgets it"),
    whole("BackendTrialTime", 120, "", "",
        "how long the other backend has to accept the station before it goes back", unit="s", least=10, most=3600),
    Setting(key16="BackendStatus", kind=Kind.STRING, default="", access=_R, maximum=500,
        doc="the backend in use, or what came of the last move"),
)
# fmt: on
