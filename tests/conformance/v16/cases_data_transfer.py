"""DataTransfer."""

from __future__ import annotations

from tests.conformance.lab import Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case


@case("TC_062_CS", "R16-DT-1", title="A vendor that nobody knows: UnknownVendorId, no data")
async def unknown_vendor(lab: Lab) -> None:
    for payload in (
        {"vendorId": "com.example.unknown"},
        {"vendorId": "com.example.unknown", "messageId": "Hello", "data": "x" * 5000},
    ):
        await lab.csms.call("DataTransfer", payload, status="UnknownVendorId", data=ABSENT)
    await lab.csms.quiet(for_s=5)
