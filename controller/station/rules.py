"""The settings that sessions and authorization follow, by their 1.6 names."""

from __future__ import annotations

from controller.core.authorization import AuthorizationMode, AuthorizationRules
from controller.core.installation import EvseInstallation, Installation
from controller.core.model import IdToken, IdTokenType
from controller.core.session_state import END_READ_WAIT_S, SessionRules
from controller.core.settings import Settings
from controller.station.signed_metering import END_WAIT_S


def session_rules(
    settings: Settings, installation: Installation, evse: EvseInstallation
) -> SessionRules:
    """Of one EVSE, as the settings are now."""
    s, charging, token = settings, installation.charging, evse.free_id_tag
    return SessionRules(
        connection_timeout_s=s.integer("ConnectionTimeOut"),
        stop_on_ev_side_disconnect=s.boolean("StopTransactionOnEVSideDisconnect"),
        stop_on_invalid_id=s.boolean("StopTransactionOnInvalidId"),
        unlock_on_ev_side_disconnect=s.boolean("UnlockConnectorOnEVSideDisconnect"),
        has_lock=evse.lock is not None,
        max_energy_on_invalid_wh=s.integer("MaxEnergyOnInvalidId"),
        mode=AuthorizationMode(evse.authorization or charging.authorization),
        free_token=IdToken(token, IdTokenType.CENTRAL) if token else None,
        resume_after_power_loss=charging.resume_after_power_loss,
        end_read_wait_s=END_READ_WAIT_S + (END_WAIT_S if evse.meter_signs else 0.0),
    )


def authorization_rules(settings: Settings) -> AuthorizationRules:
    """As the settings are now."""
    return AuthorizationRules(
        local_pre_authorize=settings.boolean("LocalPreAuthorize"),
        local_authorize_offline=settings.boolean("LocalAuthorizeOffline"),
        allow_offline_for_unknown=settings.boolean("AllowOfflineTxForUnknownId"),
        cache_enabled=settings.boolean("AuthorizationCacheEnabled"),
    )
