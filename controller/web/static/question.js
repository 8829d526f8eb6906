// A card that could be meant for several EVSEs: the question, and a button for each answer.

import { $, el, say } from "./dom.js";

let shown = "";

export function renderQuestion(asked) {
  $("question").hidden = !asked;
  const text = asked ? JSON.stringify([asked.uid, asked.evses, asked.until]) : "";
  if (text === shown) return;
  shown = text;
  if (!asked) return;
  say($("question-text"), asked.for === "stop" ? "Which charge shall this card end?" : "Which EVSE is this card for?");
  say($("question-why"), asked.for === "stop"
    ? "Several vehicles are charging for this card's group."
    : "Two vehicles were plugged in at almost the same time. Without an answer nothing happens.");
  say($("question-said"), "");
  $("question-evses").replaceChildren(...asked.evses.map((evse) => {
    const button = el("button", { class: "main", type: "button" }, `EVSE ${evse}`);
    button.addEventListener("click", () => choose(evse));
    return button;
  }));
}

async function choose(evse) {
  let problem = "";
  try {
    const answer = await fetch(`/api/card/evse/${evse}`, { method: "POST" });
    if (!answer.ok) problem = (await answer.json()).error;
  } catch {
    problem = "The station does not answer.";
  }
  say($("question-said"), problem);
}
