"""The certificate messages of the security whitepaper (A02, A03, M03 to M05; R16-SEC-7, R16-SEC-8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from controller.core.certificates import CertificateHash, CertificateUse, HashAlgorithm
from controller.core.settings import Settings
from controller.errors import BackendUnavailable
from controller.ocpp.calls import Answer
from controller.ocpp.v16.blocks import Block, BlockMaker, Payload, Sender, status_answer
from controller.ports_security import Certificates, Security

log = logging.getLogger(__name__)

USES: Mapping[str, CertificateUse] = {
    "CentralSystemRootCertificate": CertificateUse.CSMS_ROOT,
    "ManufacturerRootCertificate": CertificateUse.MANUFACTURER_ROOT,
}
TRIGGER = "SignChargePointCertificate"


def certificates(security: Security, service: Certificates) -> BlockMaker:
    """The maker of the block."""

    def make(sender: Sender, settings: Settings) -> Block:
        return _CertificateBlock(security, service, sender, settings).block()

    return make


class _CertificateBlock:
    def __init__(
        self, security: Security, service: Certificates, sender: Sender, settings: Settings
    ) -> None:
        self._security = security
        self._service = service
        self._sender = sender
        self._settings = settings
        self._came = asyncio.Event()
        self._asking = False
        self._watching = False

    def block(self) -> Block:
        return Block(
            actions={
                "CertificateSigned": self._certificate_signed,
                "DeleteCertificate": self._delete,
                "GetInstalledCertificateIds": self._installed,
                "InstallCertificate": self._install,
            },
            extended_triggers={TRIGGER: self._trigger},
            connected=self._connected,
        )

    # --- requests ---------------------------------------------------------------------------------

    async def _install(self, request: Payload) -> Answer:
        use = USES[request["certificateType"]]
        return status_answer(await self._service.install(use, request["certificate"]))

    async def _delete(self, request: Payload) -> Answer:
        data = request["certificateHashData"]
        name = CertificateHash(
            algorithm=HashAlgorithm(data["hashAlgorithm"]),
            issuer_name_hash=data["issuerNameHash"],
            issuer_key_hash=data["issuerKeyHash"],
            serial_number=data["serialNumber"],
        )
        return status_answer(await self._service.delete(name))

    async def _installed(self, request: Payload) -> Answer:
        found = await self._service.installed([USES[request["certificateType"]]])
        if not found:
            return status_answer("NotFound")
        hashes = [
            {
                "hashAlgorithm": one.hash.algorithm.value,
                "issuerNameHash": one.hash.issuer_name_hash,
                "issuerKeyHash": one.hash.issuer_key_hash,
                "serialNumber": one.hash.serial_number,
            }
            for one in found
        ]
        return Answer(payload={"status": "Accepted", "certificateHashData": hashes})

    async def _certificate_signed(self, request: Payload) -> Answer:
        accepted = await self._service.accept_signed(request["certificateChain"])
        if not accepted:
            return status_answer("Rejected")
        self._came.set()
        return status_answer("Accepted", then=self._switch)

    def _trigger(self, _connector: int | None) -> Answer:
        if not self._settings.text("CpoName").strip():
            log.warning("no certificate can be asked for: CpoName is not set")
            return status_answer("Rejected")
        return status_answer("Accepted", then=lambda: self._sender.spawn(self._ask()))

    # --- asking for a certificate -----------------------------------------------------------------

    async def _ask(self) -> None:
        """Until the certificate came; the same request again after growing waits."""
        if self._asking:
            return
        self._asking = True
        try:
            await self._ask_and_wait()
        finally:
            self._asking = False

    async def _ask_and_wait(self) -> None:
        csr = await self._service.make_request()
        if csr is None:
            return
        self._came.clear()
        wait_s = self._settings.integer("CertSigningWaitMinimum")
        for repeated in range(self._settings.integer("CertSigningRepeatTimes") + 1):
            try:
                answer = await self._sender.call("SignCertificate", {"csr": csr})
            except BackendUnavailable as error:
                log.info("SignCertificate: %s", error)
            else:
                if answer.get("status") != "Accepted":
                    log.warning("the backend does not sign a certificate for this station")
                    return
            try:
                await asyncio.wait_for(self._came.wait(), wait_s * 2.0**repeated)
            except TimeoutError:
                continue
            return
        log.warning("the backend promised a certificate, and none came")

    # --- using and renewing it --------------------------------------------------------------------

    def _switch(self) -> None:
        """Connect with it: now, or when its time has come (A02.FR.08)."""
        if self._security.network.state.in_use.security_profile == 3:
            self._sender.spawn(self._reconnect_in_time())

    async def _reconnect_in_time(self) -> None:
        begins = await self._service.next_change()
        while begins is not None:
            wait_s = (begins - self._security.utc()).total_seconds()
            if wait_s <= 0:
                break
            await asyncio.sleep(wait_s)
            begins = await self._service.next_change()
        self._security.network.reconnect()

    def _connected(self) -> None:
        if not self._watching:
            self._watching = True
            self._sender.spawn(self._watch())

    async def _watch(self) -> None:
        """Renew the certificate that is about to end (A03)."""
        await asyncio.sleep(self._security.expiry_check_delay_s)
        while True:
            try:
                if self._sender.connected and await self._service.renewal_due():
                    log.info("the station's certificate ends within a month: a new one is wanted")
                    await self._ask()
            except Exception:  # a file that cannot be read now must not end the watch for good
                log.exception("whether the station's certificate ends soon could not be found out")
            await asyncio.sleep(self._security.expiry_check_interval_s)
