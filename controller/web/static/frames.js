// The last OCPP frames, newest first; one that a person has opened stays open.

import { $, el, say } from "./dom.js";
import { clock } from "./words.js";

const SHOWN = 40;
const shown = new Map();
const ABOUT = ["status", "errorCode", "idTag", "transactionId", "meterStart", "meterStop", "reason", "key", "requestedMessage", "interval", "type"];

export function renderFrames(frames, backend) {
  say($("no-frames"), frames.length ? "" : backend.configured ? "Nothing was sent or received yet." : "There is no backend to talk to.");
  const actions = new Map();
  const keys = new Set();
  let before = null;
  for (const [direction, frame, at] of frames.slice(-SHOWN)) {
    if (!Array.isArray(frame)) continue;
    const [type, id] = frame;
    const caller = type === 2 ? direction : direction === "out" ? "in" : "out";
    if (type === 2) actions.set(caller + id, frame[2]);
    const key = `${direction} ${type} ${id} ${at}`;
    if (keys.has(key)) continue;
    keys.add(key);
    if (!shown.has(key)) shown.set(key, build(direction, frame, at, actions.get(caller + id)));
    const element = shown.get(key);
    if (element.parentNode === null || element.nextSibling !== before) $("frames").insertBefore(element, before);
    before = element;
  }
  for (const [key, element] of shown) {
    if (!keys.has(key)) {
      element.remove();
      shown.delete(key);
    }
  }
}

function build(direction, frame, at, called) {
  const [type] = frame;
  const bad = type === 4;
  const action = type === 2 ? frame[2] : bad ? `${called ?? "Call"} refused: ${frame[2]}` : `Answer: ${called ?? "a call"}`;
  const details = el(
    "details",
    { class: "frame", "data-dir": direction, "data-bad": bad },
    el(
      "summary",
      {},
      el("span", { class: "arrow", title: direction === "out" ? "sent" : "received" }, direction === "out" ? "↑" : "↓"),
      el("span", { class: "action" }, String(action)),
      el("time", {}, clock(at)),
      el("span", { class: "about" }, about(type, frame)),
    ),
  );
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(el("pre", {}, pretty(frame)));
  });
  return details;
}

function about(type, frame) {
  const payload = type === 2 ? frame[3] : type === 3 ? frame[2] : { reason: frame[3] };
  if (payload === null || typeof payload !== "object") return "";
  const flat = { ...payload, ...payload.idTagInfo };
  const parts = ABOUT.filter((key) => flat[key] != null && flat[key] !== "NoError").map((key) => `${key} ${flat[key]}`);
  if (flat.connectorId != null) parts.unshift(flat.connectorId === 0 ? "station" : `connector ${flat.connectorId}`);
  const values = payload.meterValue?.[0]?.sampledValue ?? [];
  parts.push(...values.slice(0, 3).map((sample) => `${sample.value} ${sample.unit ?? "Wh"}`));
  return parts.join(" · ");
}

function pretty(frame) {
  const text = JSON.stringify(frame, null, 2);
  return text.length > 8000 ? `${text.slice(0, 8000)}\n… (${text.length} characters)` : text;
}
