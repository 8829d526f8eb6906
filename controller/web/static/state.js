// The station's state as the page shows it: what the station leaves out is derived here, once.

const IN_TRANSACTION = { Charging: "Charging", SuspendedEV: "Vehicle pauses", SuspendedEVSE: "Paused", EVConnected: "Starting" };
const TONE_IN_TRANSACTION = { Charging: "charging", SuspendedEVSE: "waiting" };

export function normal(raw) {
  const guardLost = raw.guard?.connected === false;
  return {
    station: raw.station ?? {},
    backend: backend(raw),
    evses: (raw.evses ?? []).map((one) => evse(one, guardLost)),
    card: raw.card ?? (typeof raw.last_card === "string" && raw.last_card ? { uid: raw.last_card } : raw.last_card),
    asked: raw.asked?.evses?.length ? raw.asked : null,
    frames: raw.frames ?? [],
    notice: raw.store?.durable === false ? raw.store.note || "What happens now is not stored durably." : "",
    virtual: Boolean(raw.virtual),
    demo_cards: raw.demo_cards ?? {},
  };
}

function backend(raw) {
  const one = raw.backend ?? {};
  const configured = one.configured ?? Boolean(one.url);
  return {
    configured,
    url: one.url ?? "",
    protocol: one.protocol ?? (one.protocols ?? []).join(", "),
    connected: Boolean(one.connected),
    state: one.state || sentence(configured, one.connected),
    queued: one.queued ?? raw.queue ?? 0,
    undelivered: one.undelivered ?? raw.undelivered ?? 0,
  };
}

function sentence(configured, connected) {
  if (!configured) return "No backend is set up: this station works on its own.";
  if (connected) return "Connected and accepted.";
  return "No connection. Charging goes on by the offline rules; what happens is kept and sent later.";
}

function evse(one, guardLost) {
  const faults = (one.faults ?? []).map((fault) => ({
    ...fault,
    blocking: fault.blocking ?? (fault.severity ? fault.severity !== "warning" : true),
    driver: fault.advice_driver ?? fault.driver,
    installer: fault.advice_installer ?? fault.installer,
  }));
  const transaction = one.transaction ?? (one.transaction_id
    ? { id: one.transaction_id, energy_wh: one.transaction_energy_wh, started_at: one.started_at, id_token: one.id_token }
    : null);
  const full = { ...one, evse: one.evse ?? 1, faults, transaction };
  full.broken = one.inoperative_by_fault ?? faults.some((fault) => fault.blocking);
  full.status = one.status || (guardLost ? "Not ready" : status(full));
  full.tone = one.tone || (guardLost ? "off" : tone(full));
  return full;
}

function status(one) {
  if (one.broken) return "Out of order";
  if (one.transaction) return IN_TRANSACTION[one.charging_state] ?? "Ending";
  if (one.operative === false) return "Out of service";
  if (one.reserved_until) return "Reserved";
  if (one.phase === "finishing") return "Finished";
  if (one.plugged) return "Plugged in";
  return one.phase === "preparing" ? "Authorized" : "Available";
}

function tone(one) {
  if (one.broken) return "fault";
  if (one.transaction) return TONE_IN_TRANSACTION[one.charging_state] ?? "plugged";
  if (one.operative === false) return "off";
  const used = one.plugged || one.reserved_until || (one.phase && one.phase !== "idle");
  return used ? "plugged" : "free";
}
