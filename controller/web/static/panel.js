// The virtual world's buttons. The station does not know them: they act on the bench.

import { $, el, say } from "./dom.js";
import { BUILT_FAULTS, faultName } from "./words.js";

const cards = { known: "04A2B3C4", unknown: "DEADBEEF" };
let ready = false;
let causesFor = "";

export function renderPanel(state) {
  $("panel").hidden = !state.virtual;
  if (!state.virtual) return;
  Object.assign(cards, state.demo_cards);
  if (!ready) setUp();
  const ids = state.evses.map((evse) => String(evse.evse));
  const which = $("which");
  if (ids.join() !== [...which.options].map((option) => option.value).join()) {
    which.replaceChildren(...ids.map((id) => el("option", { value: id }, id)));
  }
  $("which-row").hidden = ids.length < 2;
  const evse = state.evses.find((one) => String(one.evse) === chosen());
  const [advice, next] = hint(evse, state);
  say($("hint"), advice);
  for (const name of ["plug", "tap", "unplug", "backend-on"]) {
    $("panel").querySelector(`[data-do=${name}]`).classList.toggle("main", name === next);
  }
  say($("echo"), evse?.why || evse?.status || "");
  $("echo").dataset.tone = evse?.tone ?? "off";
  const faults = JSON.stringify([chosen(), evse?.faults]);
  if (faults !== causesFor) {
    causesFor = faults;
    showCauses();
  }
}

function hint(evse, state) {
  if (!evse) return ["", ""];
  if (evse.faults.length) return ["Clear the cause below; what else to do stands beside the fault.", ""];
  if (state.backend.configured && !state.backend.connected) {
    return ["The backend is away: its messages wait here. Connect it again to see them go out.", "backend-on"];
  }
  if (evse.phase === "finishing") return ["The charge has ended. Unplug the vehicle.", "unplug"];
  if (evse.transaction) {
    return ["Pause the vehicle, set a fault, disconnect the backend, or tap the card again to end the charge.", "tap"];
  }
  if (evse.plugged) return ["Now tap the known card.", "tap"];
  return ["Plug the vehicle in, then tap the known card.", "plug"];
}

const chosen = () => $("which").value || "1";
const onEvse = (rest) => `evses/${chosen()}/${rest}`;
const fault = () => onEvse(`faults/${$("fault").value}`);
const vehicle = () => ({ current: Number($("current").value) || 16, phases: Number($("phases").value) });
const tap = (uid) => {
  const several = $("which").options.length > 1;
  return ["POST", "rfid", several ? { uid, evses: [Number(chosen())] } : { uid }, `Card ${uid} shown.`];
};

const ACTIONS = {
  plug: () => ["POST", onEvse("plug"), vehicle(), "Cable plugged in."],
  unplug: () => ["POST", onEvse("unplug"), {}, "Cable unplugged."],
  pause: () => ["POST", onEvse("pause"), {}, "The vehicle stops drawing."],
  resume: () => ["POST", onEvse("resume"), vehicle(), "The vehicle wants power again."],
  tap: () => tap($("uid").value.trim()),
  "set-fault": () => ["PUT", fault(), $("fault").value === "other" ? { code: $("code").value } : {}, "The cause is there now; the station shows the fault when it meets it."],
  "clear-fault": () => ["DELETE", fault(), undefined, "The cause is gone. What the fault itself waits for stands beside it."],
  "backend-off": () => ["POST", "backend/disconnect", {}, "Backend disconnected; it stays off until you connect it."],
  "backend-on": () => ["POST", "backend/connect", {}, "Connecting to the backend."],
};

function setUp() {
  ready = true;
  $("uid").value = cards.known;
  $("fault").append(...BUILT_FAULTS.map((name) => el("option", { value: name }, faultName(name))));
  $("fault").addEventListener("change", () => { $("code").hidden = $("fault").value !== "other"; });
  $("which").addEventListener("change", showCauses);
  $("uid").addEventListener("keydown", (event) => { if (event.key === "Enter") press("tap"); });
  $("panel").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (button) press(button.dataset.do);
  });
}

function press(name) {
  if (cards[name]) {
    $("uid").value = cards[name];
    return;
  }
  if (name === "tap" && !$("uid").value.trim()) {
    tell("Type a card number first.", true);
    return;
  }
  send(...ACTIONS[name]());
}

export function clearFault(evse, name) {
  send("POST", `/api/evses/${evse}/clear-fault/${name}`, {}, "Asked to clear the fault; it stays while its cause is there.");
}

async function send(method, path, body, done) {
  try {
    const answer = await fetch(path.startsWith("/") ? path : `/bench/${path}`, {
      method,
      headers: { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.ok) tell(done);
    else tell(await refused(answer), true);
  } catch {
    tell("The station could not be reached.", true);
  }
  showCauses();
}

const WORDS = {
  400: "The virtual hardware did not understand that", 404: "There is no such thing here",
  409: "Not possible now", 501: "Not possible here", 503: "The virtual hardware is not running",
};

async function refused(answer) {
  const why = await answer.json().then((data) => data.error, () => "");
  const word = WORDS[answer.status] ?? `Refused (${answer.status})`;
  return why ? `${word}: ${why}` : `${word}.`;
}

function tell(text, bad = false) {
  $("said").toggleAttribute("data-bad", bad);
  $("said").textContent = text;
}

async function showCauses() {
  try {
    const bench = await (await fetch("/bench")).json();
    const evse = (bench.evses ?? []).find((one) => String(one.id) === chosen());
    $("causes").replaceChildren(...(evse?.faults ?? []).map((name) => {
      const button = el("button", { class: "small", type: "button" }, `${faultName(name)} is set ✕`);
      button.addEventListener("click", () => send("DELETE", onEvse(`faults/${name}`), undefined, "The cause is gone. What the fault itself waits for stands beside it."));
      return button;
    }));
  } catch {
    $("causes").replaceChildren();
  }
}
