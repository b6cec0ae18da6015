// Explanations of event codes, with a link wherever a hint names a field of a form.
import { make } from "./dom.js";

let loaded = { codes: {}, places: {} };
const ready = fetch("/events/catalogue/", { headers: { Accept: "application/json" } })
  .then((answer) => (answer.ok && !answer.redirected ? answer.json() : loaded))
  .then((data) => { loaded = data; }, () => {});

export const codes = () => Object.keys(loaded.codes);
export const whenReady = (then) => ready.then(then);
export const about = (code) => loaded.codes[code] || { title: "", cause: "", there: "" };

// Placeholders of a sentence are what the event saw.
const OTHER_NAMES = { got: "received" };
export const there = (event) => about(event.code).there
  .replace(/\{(\w+)\}/g, (_, name) => (event.evidence || {})[OTHER_NAMES[name] || name] ?? "…");

const address = (place, peer) => (place.page === "site" ? `/vpn/#${place.anchor}` : `/vpn/peers/${peer}/#${place.anchor}`);

// The hint as nodes. `peer` is the id of a peer that exists, or null: then only the site's own fields are linked.
export function linked(hint, peer) {
  const labels = Object.keys(loaded.places).sort((a, b) => b.length - a.length);
  if (!labels.length) return [hint];
  const parts = hint.split(new RegExp(`(${labels.map((label) => label.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`));
  return parts.filter(Boolean).map((part) => {
    const place = loaded.places[part];
    if (!place || (place.page === "peer" && !peer)) return part;
    return make("a", { href: address(place, peer), textContent: part });
  });
}

const EVIDENCE = { accepted: "This side accepts", chosen: "The peer chose", nearest: "Nearest match", asked: "The peer asks for",
  configured: "Configured here", answer: "The peer's answer", notification: "The peer's answer", seen: "Seen", waited: "Waited in",
  received: "The peer says", expected: "Expected here", rule: "Broken rule", address: "Address", "identity sent": "Identity sent" };

export const evidenceName = (key, evidence) => (key === "offered" ? (evidence.accepted === undefined ? "This side offers" : "The peer offers") : EVIDENCE[key] || key);

// Our words as the other side has to read them.
const mirrored = (line) => line.replace(/\b([Tt])his side/g, (_, t) => (t === "T" ? "Our side" : "our side"))
  .replace(/\bThe peer\b/g, "Your gateway").replace(/ here\b(?=:|$)/g, " on our side");

// What to send to the administrator of the other gateway: it has to make sense by itself, in another time zone.
export function letter(event) {
  const lines = [`${about(event.code).title || event.text} — ${event.peer || event.remote || "VPN"}`, there(event),
    `Seen at ${new Date(event.time * 1000).toISOString()}${event.local && event.remote ? `, ${event.local} to ${event.remote}` : ""}: ${event.text}`];
  for (const [key, value] of Object.entries(event.evidence || {})) lines.push(`${evidenceName(key, event.evidence)}: ${value}`);
  return lines.filter(Boolean).map(mirrored).join("\n");
}
