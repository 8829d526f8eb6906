"""What went wrong with a connection: a kind to act on, and one sentence for page and log."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
)

from controller.ocpp.endpoint import NoEndpoint, Problem

_STATUS: Mapping[int, str] = {
    401: "the backend refused the password (HTTP 401)",
    403: "the backend forbids the connection (HTTP 403)",
    404: "the backend does not know this URL or station id (HTTP 404)",
    429: "the backend asks for fewer attempts (HTTP 429)",
}
_OLD_TLS = ("UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")
_NO_CIPHER = ("HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "WRONG_CIPHER", "INSUFFICIENT_SECURITY")
_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")


def problem(error: BaseException) -> Problem:
    """The kind of a failure."""
    if isinstance(error, NoEndpoint):
        return Problem.NOT_POSSIBLE
    if isinstance(error, InvalidStatus):
        return Problem.PASSWORD if error.response.status_code == 401 else Problem.HTTP
    if isinstance(error, NegotiationError):
        return Problem.SUBPROTOCOL
    if isinstance(error, ConnectionClosed) or _hung_up(error):
        return Problem.CLOSED
    if isinstance(error, ssl.SSLCertVerificationError):
        return Problem.CERTIFICATE
    if isinstance(error, ssl.SSLError):
        return _tls_problem(error.reason or "")
    if isinstance(error, InvalidHandshake):
        return Problem.HTTP
    if isinstance(error, OSError | TimeoutError):
        return Problem.UNREACHABLE
    return Problem.OTHER


def _tls_problem(reason: str) -> Problem:
    if any(word in reason for word in _OLD_TLS):
        return Problem.TLS_VERSION
    if any(word in reason for word in _NO_CIPHER):
        return Problem.TLS_CIPHER
    if "ALERT" in reason and any(word in reason for word in _OUR_CERTIFICATE):
        return Problem.OUR_CERTIFICATE
    return Problem.TLS


def explain(error: BaseException) -> str:
    """One sentence for page and log."""
    if isinstance(error, NoEndpoint):
        return str(error)
    if isinstance(error, InvalidStatus):
        code = error.response.status_code
        if 300 <= code < 400:
            return f"the backend sends us elsewhere (HTTP {code}), where we do not go with our credentials"
        return _STATUS.get(code, f"the backend answered HTTP {code} instead of a WebSocket")
    if isinstance(error, InvalidURI):
        return "the backend's URL is not valid"
    if isinstance(error, ConnectionClosed):
        close = error.rcvd
        if close is None:
            return "the connection broke without a goodbye"
        return f"the backend closed the connection ({close.code} {close.reason}".rstrip() + ")"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the backend's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return _explain_tls(error)
    if isinstance(error, NegotiationError):
        return str(error)
    if _hung_up(error):
        return "the backend hung up during the handshake; with TLS it may not like the station's certificate"
    if isinstance(error, InvalidHandshake):
        return f"the backend's answer is not a WebSocket handshake: {error}"
    if isinstance(error, TimeoutError):
        return "the backend did not answer the connection attempt in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at the backend's address"
    if isinstance(error, OSError):
        return f"the backend cannot be reached: {error.strerror or error}"
    return f"the connection attempt failed: {type(error).__name__}: {error}"


def _hung_up(error: BaseException) -> bool:
    """The connection ended in the middle of the handshake, without an answer."""
    if isinstance(error, InvalidMessage):
        return isinstance(error.__cause__, EOFError | ConnectionError)
    return isinstance(error, ConnectionResetError)


def _explain_tls(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    kind = _tls_problem(reason)
    if kind is Problem.TLS_VERSION:
        return "the backend speaks no TLS that is new enough (1.2 or newer)"
    if kind is Problem.TLS_CIPHER:
        return "the backend offers no cipher suite that is allowed"
    if kind is Problem.OUR_CERTIFICATE:
        return f"the backend refused the station's certificate ({reason})"
    return f"TLS with the backend failed: {reason}"
