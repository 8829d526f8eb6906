// Listens to the station and shows what it says; a lost station is said plainly and found again.

import { $, say } from "./dom.js";
import { renderEvses } from "./evse.js";
import { renderFrames } from "./frames.js";
import { renderPanel } from "./panel.js";
import { renderQuestion } from "./question.js";
import { normal } from "./state.js";
import { clock, count } from "./words.js";

const SILENCE_MS = 25000;
const RETRY_MS = [500, 1000, 2000, 4000];
let stream = null;
let attempt = 0;
let heardAt = Date.now();
let retry = 0;
let shown = null;

function connect() {
  clearTimeout(retry);
  stream?.close();
  stream = new EventSource("/api/events");
  heardAt = Date.now();
  stream.addEventListener("state", (event) => {
    heard();
    render(normal(JSON.parse(event.data)));
  });
  stream.addEventListener("alive", heard);
  stream.onerror = lost;
}

function heard() {
  heardAt = Date.now();
  attempt = 0;
  $("lost").hidden = true;
  document.body.classList.remove("is-lost");
}

function lost() {
  stream.close();
  clearTimeout(retry);
  if ($("lost").hidden) {
    const old = $("loading").hidden ? ` What you see below is from ${clock(heardAt)}.` : "";
    say($("lost"), `This page has lost the station and is trying to reach it again.${old}`);
    $("lost").hidden = false;
    document.body.classList.add("is-lost");
    document.title = "No connection · chargepost";
  }
  retry = setTimeout(connect, RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)]);
}

setInterval(() => { if (Date.now() - heardAt > SILENCE_MS) lost(); }, 1000);
addEventListener("online", connect);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && stream.readyState === EventSource.CLOSED) connect();
});

setInterval(() => { if (shown) render(shown); }, 20000);

function render(state) {
  shown = state;
  const { station, backend, evses } = state;
  say($("station"), station.id || "chargepost");
  say($("model"), [[station.vendor, station.model].filter(Boolean).join(" "), station.version].filter(Boolean).join(" · "));
  document.title = [evses.map((evse) => evse.status).join(", "), station.id || "chargepost"].filter(Boolean).join(" · ");
  $("loading").hidden = evses.length > 0;
  if (!evses.length) say($("loading"), "The station is starting; its EVSEs are not known yet.");
  say($("notice"), state.notice);
  $("notice").hidden = !state.notice;
  renderQuestion(state.asked);
  renderEvses(evses, state.virtual);
  renderBackend(backend);
  renderCard(state.card);
  renderFrames(state.frames, backend);
  renderPanel(state);
}

function renderBackend(backend) {
  const pill = $("link");
  pill.dataset.tone = !backend.configured ? "off" : backend.connected ? "free" : "waiting";
  say(pill, !backend.configured ? "Stand-alone" : backend.connected ? "Online" : "Offline");
  say($("backend-state"), backend.state);
  say($("backend-url"), [backend.url, backend.protocol].filter(Boolean).join(" · "));
  const waiting = backend.queued > 0 ? `${count(backend.queued, "message waits", "messages wait")} for the backend.` : "";
  const refused = backend.undelivered > 0
    ? `${count(backend.undelivered, "message was", "messages were")} refused by the backend and kept.` : "";
  say($("backend-queue"), [waiting, refused].filter(Boolean).join(" "));
  $("backend-queue").hidden = !waiting && !refused;
}

function renderCard(card) {
  const text = card
    ? [card.uid, card.result].filter(Boolean).join(": ") + (card.at ? ` (${clock(card.at)})` : "")
    : "No card was shown yet. Hold your card against the reader.";
  say($("card"), text);
}

connect();
