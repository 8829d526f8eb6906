"""Frames of the virtual card readers: PN532 on HSU and RDM6300. Pure functions, no I/O.

Reference: NXP UM0701-02 (PN532 user manual) 6.2; hobby data sheet of the RDM6300.
"""

from __future__ import annotations

PREAMBLE = b"\x00\x00\xff"
ACK = PREAMBLE + b"\x00\xff\x00"
ERROR = PREAMBLE + b"\x01\xff\x7f\x81\x00"
TO_READER, FROM_READER = 0xD4, 0xD5

_ATQA_SAK = {4: (b"\x00\x04", 0x08), 7: (b"\x00\x44", 0x00), 10: (b"\x00\x84", 0x00)}
"""SENS_RES and SEL_RES by UID length."""


def frame(command: int, data: bytes = b"") -> bytes:
    """A normal information frame of the reader, answering `command`."""
    body = bytes((FROM_READER, command + 1)) + data
    length = len(body)
    return PREAMBLE + bytes((length, -length & 0xFF)) + body + bytes((-sum(body) & 0xFF, 0))


def target(uid: bytes) -> bytes:
    """The data of InListPassiveTarget for one ISO 14443-A card."""
    atqa, sak = _ATQA_SAK[len(uid)]
    return b"\x01\x01" + atqa + bytes((sak, len(uid))) + uid


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Whole frames in `buffer` and the rest. A frame is its body from TFI on; b"" = an ACK.

    What fails a checksum is dropped.
    """
    found: list[bytes] = []
    while (at := buffer.find(PREAMBLE)) >= 0:
        if len(buffer) < at + 5:
            return found, buffer[at:]
        length, check = buffer[at + 3], buffer[at + 4]
        if (length, check) == (0x00, 0xFF):
            found.append(b"")
            buffer = buffer[at + 5 :]
            continue
        end = at + 5 + length
        if (length + check) & 0xFF:
            buffer = buffer[at + 3 :]
            continue
        if len(buffer) < end + 1:
            return found, buffer[at:]
        body = buffer[at + 5 : end]
        if (sum(body) + buffer[end]) & 0xFF == 0:
            found.append(body)
        buffer = buffer[end + 1 :]
    return found, buffer[-2:]


def rdm6300(uid: bytes) -> bytes:
    """STX, ten hex digits, checksum, ETX."""
    check = 0
    for byte in uid:
        check ^= byte
    return b"\x02" + uid.hex().upper().encode() + b"%02X" % check + b"\x03"
