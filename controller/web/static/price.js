// What charging costs, for the driver: before, during and after. Amounts and texts are the operator's.

import { el, say } from "./dom.js";

const WORDS = {
  en: {
    default: "Price", own: "Your price", running: "Cost so far", final: "Total cost",
    kwh: "per kWh", hour: "per hour", flat: "once", idle_hour: "per hour while idle",
    grace: (n) => `the first ${n} min are free`, idle: "Idle time is charged now.",
    next: (at) => `From ${at}:`, counted: (at) => `Counted by the station since ${at}; the operator has the final word.`,
    link: "Receipt",
  },
  de: {
    default: "Preis", own: "Ihr Preis", running: "Kosten bisher", final: "Gesamtkosten",
    kwh: "pro kWh", hour: "pro Stunde", flat: "einmalig", idle_hour: "pro Stunde Standzeit",
    grace: (n) => `die ersten ${n} min sind frei`, idle: "Jetzt wird Standzeit berechnet.",
    next: (at) => `Ab ${at}:`, counted: (at) => `Seit ${at} von der Station gezählt; es gilt die Abrechnung des Betreibers.`,
    link: "Beleg",
  },
  nl: {
    default: "Prijs", own: "Uw prijs", running: "Kosten tot nu toe", final: "Totale kosten",
    kwh: "per kWh", hour: "per uur", flat: "eenmalig", idle_hour: "per uur stilstand",
    grace: (n) => `de eerste ${n} min zijn gratis`, idle: "Stilstand wordt nu berekend.",
    next: (at) => `Vanaf ${at}:`, counted: (at) => `Sinds ${at} geteld door het laadstation; de afrekening van de exploitant geldt.`,
    link: "Bon",
  },
  fr: {
    default: "Prix", own: "Votre prix", running: "Coût actuel", final: "Coût total",
    kwh: "par kWh", hour: "par heure", flat: "une fois", idle_hour: "par heure d’occupation",
    grace: (n) => `les ${n} premières min sont gratuites`, idle: "L’occupation est facturée maintenant.",
    next: (at) => `À partir de ${at} :`, counted: (at) => `Compté par la station depuis ${at} ; le décompte de l’opérateur fait foi.`,
    link: "Reçu",
  },
  es: {
    default: "Precio", own: "Su precio", running: "Coste hasta ahora", final: "Coste total",
    kwh: "por kWh", hour: "por hora", flat: "una vez", idle_hour: "por hora de ocupación",
    grace: (n) => `los primeros ${n} min son gratis`, idle: "Ahora se cobra la ocupación.",
    next: (at) => `Desde las ${at}:`, counted: (at) => `Contado por la estación desde las ${at}; vale la cuenta del operador.`,
    link: "Recibo",
  },
};

export function renderPrice(box, price) {
  box.hidden = !price;
  if (!price) return;
  const language = String(price.language || "en");
  const words = WORDS[language.split(/[-_]/)[0].toLowerCase()] ?? WORDS.en;
  const find = (selector) => box.querySelector(selector);
  const line = (selector, text) => {
    say(find(selector), text || "");
    find(selector).hidden = !text;
  };
  box.lang = language;
  box.dataset.kind = price.kind;
  line(".price-label", words[price.kind] ?? words.default);
  line(".amount", price.cost ? amount(price.cost, price) : "");
  line(".price-text", price.text || units(price.unit_prices, price, words));
  const notes = [price.idle && words.idle];
  if (price.text) notes.push(units(price.unit_prices, price, words));
  if (price.next) notes.push(`${words.next(price.next.at)} ${units(price.next.unit_prices, price, words)}`);
  if (price.counted && price.as_of) notes.push(words.counted(price.as_of));
  line(".price-more", notes.filter(Boolean).join("\n"));
  link(find(".price-link"), price.qr, words.link);
}

const amount = (text, price) => [text, price.currency].filter(Boolean).join(" ");

function units(prices, price, words) {
  const parts = ["kwh", "hour", "flat", "idle_hour"]
    .filter((name) => prices?.[name])
    .map((name) => `${amount(prices[name], price)} ${words[name]}`);
  if (prices?.grace_minutes) parts[parts.length - 1] += ` (${words.grace(prices.grace_minutes)})`;
  return parts.join(" · ");
}

// Only web addresses become links; anything else is shown as it is.
function link(box, text, label) {
  box.hidden = !text;
  if (!text || box.dataset.text === text) return;
  box.dataset.text = text;
  const web = /^https?:\/\//i.test(text);
  box.replaceChildren(`${label}: `, web ? el("a", { href: text, rel: "noreferrer noopener", target: "_blank" }, text) : text);
}
