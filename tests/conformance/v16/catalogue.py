"""What has to be shown for OCPP 1.6: the cases of the certification programme and our own requirements.

Titles are our words. A case whose id starts with TC_ is a procedure of a certification lab for charge points.
"""

from __future__ import annotations

PROCEDURES: dict[str, tuple[tuple[str, str], ...]] = {
    "Boot": (("001", "Cold boot"), ("002", "Cold boot, registration pending")),
    "Regular session": (
        ("003", "Cable first"),
        ("004_1", "Card first"),
        ("004_2", "Card first, no cable in time"),
        ("005_1", "Unplugged at the vehicle: ended and unlocked"),
        ("005_2", "Unplugged at the vehicle: ended, still locked"),
        ("005_3", "Unplugged at the vehicle: goes on"),
        ("006", "One reader for several connectors"),
        ("068", "Stopped with the same card"),
        ("069", "Stopped with a card of the same parent"),
    ),
    "Cache": (("007", "Cached card"), ("061", "The cache is cleared")),
    "Remote": (
        ("010", "Remote start, cable first"),
        ("011_1", "Remote start first"),
        ("011_2", "Remote start first, no cable in time"),
        ("012", "Remote stop"),
        ("026", "Remote start rejected"),
        ("027", "Remote start on connector 0"),
        ("028", "Remote stop rejected"),
    ),
    "Reset": (
        ("013", "Hard"),
        ("014", "Soft"),
        ("015", "Hard, with a transaction"),
        ("016", "Soft, with a transaction"),
    ),
    "Unlock": (
        ("017_1", "Socket, no session"),
        ("017_2", "Fixed cable, no session"),
        ("018_1", "Socket, with a session"),
        ("018_2", "Fixed cable, with a session"),
        ("030", "The bolt is stuck"),
        ("031", "Unknown connector"),
    ),
    "Configuration": (
        ("019_1", "All keys"),
        ("019_2", "One key"),
        ("021", "A key is changed"),
        ("040_1", "Unknown key"),
        ("040_2", "Value that cannot be"),
    ),
    "Metering": (("070", "Sampled values"), ("071", "Clock-aligned values")),
    "Refused": (
        ("023_1", "Invalid card"),
        ("023_2", "Expired card"),
        ("023_3", "Blocked card"),
        ("024", "The lock does not close"),
    ),
    "Power and connection": (
        ("032_1", "Power fails while charging"),
        ("032_2", "Power fails while charging offline"),
        ("034", "Power fails while out of service"),
        ("036", "Connection lost while charging"),
        ("037_1", "Started offline, accepted later"),
        ("037_2", "Started offline, refused later: suspended"),
        ("037_3", "Started offline, refused later: stopped"),
        ("038", "Stopped offline"),
        ("039", "Whole transaction offline"),
        ("041", "Fault and its end"),
    ),
    "Local list": (
        ("008", "Start with a listed card"),
        ("042_1", "Version, list switched off"),
        ("042_2", "Version of an empty list"),
        ("043_1", "Update not supported"),
        ("043_2", "Version that does not fit"),
        ("043_3", "Update that fails"),
        ("043_4", "Full update"),
        ("043_5", "Differential update"),
    ),
    "Firmware and diagnostics": (
        ("044_1", "Firmware update"),
        ("044_2", "Download fails"),
        ("044_3", "Installation fails"),
        ("045_1", "Diagnostics"),
        ("045_2", "Upload of diagnostics fails"),
    ),
    "Reservation": (
        ("046", "Used by its card"),
        ("047", "Expires"),
        ("048_1", "Connector faulted"),
        ("048_2", "Connector occupied"),
        ("048_3", "Connector out of service"),
        ("048_4", "Rejected"),
        ("049", "Connector 0"),
        ("050_1", "Connector 0, used by its card"),
        ("050_2", "Connector 0, another card"),
        ("050_3", "Connector 0, not supported"),
        ("050_4", "Connector 0, one connector left"),
        ("051", "Cancelled"),
        ("052", "Cancellation rejected"),
        ("053", "Used by a card of the parent"),
    ),
    "Trigger": (("054", "Messages on request"), ("055", "Rejected")),
    "Smart charging": (
        ("056", "TxDefaultProfile"),
        ("057", "TxProfile"),
        ("058_1", "TxProfile without a transaction"),
        ("058_2", "TxProfile of another transaction"),
        ("059", "Profile with a remote start"),
        ("060", "Remote start with a profile that cannot be"),
        ("066", "Composite schedule"),
        ("067", "Clear"),
        ("072", "Stack levels"),
        ("082", "TxDefaultProfile while charging"),
    ),
    "Data transfer": (("062", "To the station"), ("064", "From the station")),
    "Security": (
        ("073", "Password changed"),
        ("074", "Certificate of the station renewed"),
        ("075_1", "Root of the manufacturer installed"),
        ("075_2", "Root of the backend installed"),
        ("076", "Certificate deleted"),
        ("077", "Certificate of the station that is no good"),
        ("078", "Certificate of the backend that is no good"),
        ("079", "Security log"),
        ("080", "Signed firmware"),
        ("081", "Signature that is no good"),
        ("083", "To a higher security profile"),
        ("084", "To a lower security profile"),
        ("085", "Basic authentication"),
        ("086", "Certificate of the server"),
        ("087", "Certificate of the client"),
        ("088", "Sub-protocols"),
    ),
}

ROWS: dict[str, tuple[str, ...]] = {
    "BOOT": (
        "BootNotification first, and nothing before it is accepted",
        "Accepted: interval, clock, all statuses, then the queue",
        "Pending: answers, but sends only what is triggered",
        "Rejected: mute until the interval is over",
        "No interval or no answer: own pauses",
        "No boot message on request once accepted",
        "No boot message after a mere loss of the connection, unless configured",
        "Charging before the first acceptance, with times that hold",
        "A refused handshake is repeated for ever",
    ),
    "ST": (
        "Every change is told, and only the permitted ones",
        "Who suspends",
        "Faults, warnings and their codes",
        "After an offline time only the status of now",
        "Unplugging at the vehicle",
        "Out of service survives a restart",
    ),
    "TX": (
        "Transaction messages are durable and in order",
        "Refused messages are repeated with growing pauses, then put aside",
        "Nothing is dropped for being offline",
        "Ids of the backend are filled in late; -1 without a start",
        "Repetitions keep their message id",
        "Times and ids of the event, not of the sending",
        "A start that the backend refuses",
        "Ends by power loss, restart and reset",
        "Registers are raw, monotonic and follow each other",
        "Any integer is a transaction id",
    ),
    "AUTH": (
        "List, cache, backend, in this order",
        "Stopping with the own card and with the parent's",
        "When a local answer is enough",
        "Unknown cards offline",
        "What the cache keeps, and for how long",
        "Cards are opaque and compared without case",
        "Remote start and stop",
    ),
    "MV": (
        "Sampled values and those of the whole transaction",
        "Clock-aligned values",
        "Values on request, and around gaps",
        "All phases, as text, with the right defaults",
        "Whole Wh, rounded alike",
    ),
    "SC": (
        "Purposes and connectors",
        "Replacing and adding, limits",
        "Which profile prevails",
        "Absolute, recurring and relative",
        "Periods and durations",
        "A and W, phases, less than 6 A",
        "Profiles that come, go and persist",
        "Composite schedule",
        "Clearing",
        "Errors",
        "Offline",
        "What real backends send",
    ),
    "CFG": ("Changing keys", "Names of keys"),
    "AV": ("Out of service, now or later",),
    "RST": ("Soft and hard reset",),
    "UNL": ("Unlocking",),
    "RES": ("Reservations",),
    "TRG": ("Messages on request",),
    "LL": ("Local authorization list",),
    "FW": ("Firmware update",),
    "DIAG": ("Diagnostics",),
    "DT": ("Data transfer",),
    "HB": ("Heartbeats",),
    "TIME": ("Times",),
    "SEC": (
        "Security profiles 0 to 3",
        "Basic authentication",
        "Another password",
        "Another security profile",
        "TLS",
        "Keys and certificates",
        "Certificate of the station",
        "Certificates of authorities",
        "Logs",
        "Signed firmware",
        "Security events and their log",
    ),
}

NOT_APPLICABLE: dict[str, str] = {}
"""Id → the feature that this station does not declare."""


def procedures() -> list[tuple[str, str, str]]:
    """Area, id (`TC_003_CS`) and title of each certification case."""
    return [(area, f"TC_{n}_CS", title) for area, rows in PROCEDURES.items() for n, title in rows]


def rows() -> list[tuple[str, str, str]]:
    """Area, id (`R16-BOOT-1`) and title of each requirement."""
    return [
        (area, f"R16-{area}-{n}", title)
        for area, titles in ROWS.items()
        for n, title in enumerate(titles, start=1)
    ]
