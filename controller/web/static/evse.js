// One EVSE: the colour, the sentence, the numbers, the faults.

import { $, el, say } from "./dom.js";
import { clearFault } from "./panel.js";
import { renderPrice } from "./price.js";
import { PILOT, amps, energy, faultName, highest, perPhase, register, since, watts } from "./words.js";

const HISTORY_MS = 5 * 60 * 1000;
const cards = new Map();

export function renderEvses(evses, virtual) {
  const seen = new Set();
  for (const evse of evses) {
    const id = evse.evse;
    seen.add(id);
    if (!cards.has(id)) cards.set(id, newCard());
    cards.get(id).virtual = Boolean(virtual);
    render(cards.get(id), evse, id);
  }
  for (const [id, card] of cards) {
    if (!seen.has(id)) {
      card.root.remove();
      cards.delete(id);
    }
  }
}

function newCard() {
  const root = $("evse").content.firstElementChild.cloneNode(true);
  $("evses").append(root);
  return { root, power: [], faults: "" };
}

function render(card, evse, id) {
  const { root } = card;
  const find = (selector) => root.querySelector(selector);
  const field = (name, text) => say(find(`[data-f=${name}]`), text);
  root.dataset.tone = evse.tone;
  root.dataset.evse = id;
  find("use").setAttribute("href", `#i-${evse.tone}`);
  say(find(".name"), `EVSE ${id}`);
  say(find(".word"), evse.status);
  say(find(".why"), evse.why || "");
  field("power", watts(evse.power_w));
  field("energy", evse.transaction ? energy(evse.transaction.energy_wh) : "–");
  field("drawn", amps(highest(evse.amps)));
  field("offered", evse.offered_amps > 0 ? amps(evse.offered_amps) : "none");
  const state = evse.pilot_state;
  const meaning = PILOT[state];
  field("pilot", meaning ? `${state}: ${meaning}` : "not known yet");
  field("contactor", evse.contactor_closed == null ? "not known" : evse.contactor_closed ? "closed: outlet live" : "open");
  field("phases", perPhase(evse.amps));
  field("register", register(evse.energy_wh));
  field("since", evse.transaction ? since(evse.transaction.started_at) : "no charge running");
  find("[data-f=since]").parentElement.hidden = Boolean(evse.transaction && !evse.transaction.started_at);
  field("by", evse.transaction?.id_token || "–");
  field("key", evse.meter_public_key || "");
  find("[data-f=key]").parentElement.hidden = !evse.meter_public_key;
  renderPrice(find(".price"), evse.price);
  renderFaults(card, find(".faults"), evse.faults ?? []);
  renderPower(card, find(".spark path"), evse.power_w);
}

function renderFaults(card, list, faults) {
  const text = JSON.stringify([card.virtual, faults]);
  if (text === card.faults) return;
  card.faults = text;
  list.replaceChildren(...faults.map((fault) => {
    const title = el("b", {}, faultName(fault.name));
    if (fault.latched) title.append(el("i", {}, fault.clears ? `clears ${fault.clears}` : "stays until cleared"));
    const box = el("div", { class: "fault", "data-blocking": fault.blocking }, title);
    if (fault.driver) box.append(el("p", {}, fault.driver));
    if (fault.detail || fault.installer) {
      const more = el("details", {}, el("summary", { class: "quiet" }, "For the installer"));
      for (const line of [fault.installer, fault.detail && `Seen: ${fault.detail}`, `Name: ${fault.name}`]) {
        if (line) more.append(el("p", {}, line));
      }
      box.append(more);
    }
    if (card.virtual && fault.latched) {
      const button = el("button", { class: "small", type: "button" }, "Clear this fault, as an installer");
      button.addEventListener("click", () => clearFault(card.root.dataset.evse, fault.name));
      box.append(button);
    }
    return box;
  }));
}

function renderPower(card, path, power) {
  const now = Date.now();
  if (typeof power === "number") card.power.push([now, power]);
  card.power = card.power.filter(([at]) => now - at < HISTORY_MS);
  const top = Math.max(...card.power.map(([, watt]) => watt), 0);
  if (top < 50) {
    path.setAttribute("d", "");
    return;
  }
  const width = Math.max(now - card.power[0][0], 20000);
  const x = (at) => (300 - ((now - at) / width) * 300).toFixed(1);
  const y = (watt) => (40 - (Math.max(watt, 0) / top) * 34).toFixed(1);
  const line = card.power.map(([at, watt]) => `L${x(at)} ${y(watt)}`).join("");
  const last = card.power.at(-1);
  path.setAttribute("d", `M${x(card.power[0][0])} 40${line}L300 ${y(last[1])}V40Z`);
}
