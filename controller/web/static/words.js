// Numbers and codes in words. What is not known is "–", never 0.

export const PILOT = {
  A1: "no vehicle", A2: "no vehicle", B1: "vehicle connected", B2: "vehicle connected, current offered",
  C1: "vehicle asks for power", C2: "vehicle takes power", D1: "vehicle asks for ventilation",
  D2: "vehicle takes power, ventilated", E: "pilot line without voltage", F: "station not available",
};

const FAULTS = {
  rcd: "Residual current: RCD tripped", weld: "Contactor welded", fail_to_close: "Contactor does not close",
  diode: "Vehicle's diode missing", cp_short: "Control pilot shorted", cp_noise: "Control pilot disturbed",
  ventilation: "Vehicle wants ventilation", over_current: "Vehicle takes too much current",
  emergency_stop: "Emergency stop pressed", lock_jam: "Connector lock jammed", meter_silent: "Meter does not answer",
  meter_garbage: "Meter answers nonsense", meter_backwards: "Meter runs backwards", reader_dead: "Card reader dead",
  other: "Other (by code)",
};

export const BUILT_FAULTS = Object.keys(FAULTS);

export function faultName(name) {
  const text = FAULTS[name] ?? String(name ?? "fault").replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const number = (value, digits) => (known(value) ? value.toFixed(digits) : "–");

export const amps = (value) => (known(value) ? `${value.toFixed(1).replace(/\.0$/, "")} A` : "–");

export function watts(value) {
  if (!known(value)) return "–";
  return Math.abs(value) < 1000 ? `${Math.round(value)} W` : `${(value / 1000).toFixed(2)} kW`;
}

export function energy(value) {
  if (!known(value)) return "–";
  return Math.abs(value) < 1000 ? `${Math.round(value)} Wh` : `${(value / 1000).toFixed(2)} kWh`;
}

export const register = (value) => (known(value) ? `${(value / 1000).toFixed(3)} kWh` : "not readable");

export function highest(phases) {
  const values = (phases ?? []).filter(known);
  return values.length ? Math.max(...values) : null;
}

export function perPhase(phases) {
  const values = phases ?? [];
  if (!values.some(known)) return "–";
  return values.map((value, i) => (known(value) ? `L${i + 1} ${amps(value)}` : "")).filter(Boolean).join(" · ");
}

export function clock(at) {
  const date = new Date(at);
  if (!at || Number.isNaN(date.getTime())) return at ? String(at) : "";
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function since(at) {
  const date = new Date(at);
  if (!at || Number.isNaN(date.getTime())) return "–";
  const minutes = Math.max(0, Math.floor((Date.now() - date.getTime()) / 60000));
  const long = minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })} (${long})`;
}

export const count = (n, one, many) => (n === 1 ? `1 ${one}` : `${n} ${many}`);
