"""What TriggerMessage and ChangeAvailability make the station send."""

from __future__ import annotations

from collections.abc import Callable

from controller.core.model import EvseView, MeterSample, MeterValuesTaken
from controller.core.settings import Settings
from controller.ocpp.v16 import translate
from controller.ocpp.v16.blocks import Sender
from controller.ocpp.v16.heartbeat import Heartbeats
from controller.ocpp.v16.registration import Registration
from controller.ocpp.v16.station_status import StationStatus
from controller.ocpp.v16.statuses import StatusReporter
from controller.ports import OutboxStore, StationControl


class TriggerService:
    """Implements `handlers.Triggers`."""

    def __init__(
        self,
        *,
        sender: Sender,
        control: StationControl,
        settings: Settings,
        store: OutboxStore,
        registration: Registration,
        heartbeats: Heartbeats,
        statuses: StatusReporter,
        station_status: StationStatus,
        show: Callable[[EvseView], None],
    ) -> None:
        self._sender = sender
        self._control = control
        self._settings = settings
        self._store = store
        self._registration = registration
        self._heartbeats = heartbeats
        self._statuses = statuses
        self._station_status = station_status
        self._show = show

    @property
    def accepted(self) -> bool:
        """The station is registered."""
        return self._registration.accepted

    def boot_now(self) -> None:
        """Send a BootNotification without waiting for the interval."""
        self._registration.now()

    def heartbeat_now(self) -> None:
        """Send a Heartbeat."""
        self._sender.spawn(self._heartbeats.beat())

    def status_now(self, connector: int | None) -> None:
        """Send the status of one connector, or of 0 and all."""
        self._station_status.update()
        for n in (0, *self._control.evses()) if connector is None else (connector,):
            if n != 0 and not self._statuses.known(n):
                self._show(self._control.view(n))
            self._statuses.tell_again(n)

    def meter_values_now(self, connector: int | None) -> bool:
        """Send current values of one EVSE or all."""
        measurands = self._settings.text("MeterValuesSampledData")
        sent = False
        for evse in self._control.evses() if connector is None else (connector,):
            sample = self._control.sample(evse, measurands)
            if sample is not None:
                self._sender.spawn(self._send_sample(evse, sample))
                sent = True
        return sent

    async def _send_sample(self, evse: int, sample: MeterSample) -> None:
        ours = self._control.view(evse).transaction_id
        theirs = await self._store.backend_transaction_id(ours) if ours else None
        report = MeterValuesTaken(evse=evse, sample=sample, transaction_id=ours)
        request = translate.report_16(report, theirs)
        if request is not None:
            await self._sender.call(*request)

    async def station_operative(self, operative: bool) -> None:
        """ChangeAvailability of connector 0; durable."""
        await self._station_status.set_operative(operative)
