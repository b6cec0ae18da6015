// The explanation of one event: what happened, why, what to change here, what to ask of the other side, and the proof.
import { byId, copyButton, fill, make } from "./dom.js";
import { about, evidenceName, letter, linked, there, whenReady } from "./explain.js";
import { SIDES, ago } from "./words.js";
import { inUtc, stamp, zoneName } from "./zone.js";

const FIELDS = { code: "Code", severity: "Severity", phase: "Phase", side: "Side to look at", local: "Local address", remote: "Remote address",
  cookies: "ISAKMP SA", negotiation: "Negotiation", spi_in: "SPI in", spi_out: "SPI out", selector_local: "Local subnet",
  selector_remote: "Remote subnet", number: "Number", boot: "Engine start", seq: "Sequence" };

// Proposals, one a line; a part that the other list has nowhere is marked.
function proposals(value, others) {
  const known = new Set(others.split(/[-,\s]+/));
  return make("ul", { className: "proposals" }, ...value.split(", ").map((item) => make("li", {}, ...item.split("-").flatMap((part, index) => {
    const node = known.has(part) ? part : make("mark", { textContent: part, title: "only on this list" });
    return index ? ["-", node] : [node];
  }))));
}

// The two proposals that differ least, attribute by attribute.
function differenceRows(difference) {
  return (difference?.nearest ?? []).map(({ attribute, ours, theirs, equal }) => {
    const cell = (value) => make("td", {}, equal ? value || "none" : make("mark", { textContent: value || "none" }));
    return make("tr", {}, make("th", { scope: "row", textContent: attribute }), cell(ours), cell(theirs),
      make("td", { textContent: equal ? "same" : "differs" }));
  });
}

function evidenceRows(evidence) {
  const { offered, accepted } = evidence;
  return Object.entries(evidence).map(([key, value]) => {
    const other = { offered: accepted, accepted: offered }[key];
    return make("tr", {}, make("th", { scope: "row", textContent: evidenceName(key, evidence) }),
      make("td", {}, value === "" ? "nothing" : other === undefined ? value : proposals(value, other)));
  });
}

// Nothing is said of what is certain.
const SURE = { probable: "This is the probable cause.", possible: "This is one possible cause among others." };

let shown = null;
const ask = copyButton("Copy for the other side", () => letter(shown));
byId("d-ask").append(ask);

// A peer that was removed has no page. Which of them exist is asked once for each.
const exists = new Map();
function peerExists(id) {
  if (!exists.has(id)) {
    exists.set(id, false);
    fetch(`/events/choices/?kind=peer&id=${encodeURIComponent(id)}`)
      .then((answer) => (answer.ok && !answer.redirected ? answer.json() : { choices: [] }))
      .then(({ choices }) => { exists.set(id, choices.length > 0); if (choices.length) again(); }, () => exists.delete(id));
  }
  return exists.get(id);
}

export function show(event) {
  shown = event;
  const known = about(event.code);
  const peer = event.peer_id && peerExists(event.peer_id) ? event.peer_id : null;
  const ms = event.time * 1000;
  const at = new Date(ms);
  byId("d-title").textContent = known.title || event.text;
  byId("d-text").textContent = event.text;
  byId("d-when").replaceChildren(make("time", { dateTime: at.toISOString(), textContent: `${stamp(ms)} ${zoneName(ms)}`, title: inUtc(ms) }), ` · ${ago(event.time)}`,
    ...(event.peer ? [" · ", peer ? make("a", { href: `/vpn/peers/${peer}/`, textContent: event.peer }) : event.peer] : []));
  const hint = event.hint || "";
  section("d-cause", known.cause ? [known.cause, ...(SURE[known.confidence] ? [" ", SURE[known.confidence]] : [])] : [], (hint && SIDES[event.side]) || "");
  section("d-hint", hint ? linked(hint, peer) : []);
  section("d-there", known.there ? [there(event)] : []);
  const { nearest, ...rest } = event.evidence || {};
  const difference = differenceRows(event.difference);
  byId("d-difference").hidden = !difference.length;
  byId("d-difference-rows").replaceChildren(...difference);
  const evidence = evidenceRows(difference.length ? rest : { ...rest, ...(nearest === undefined ? {} : { nearest }) });
  byId("d-evidence").hidden = !evidence.length;
  byId("d-evidence-rows").replaceChildren(...evidence);
  byId("d-negotiation").hidden = !event.negotiation;
  fill(byId("d-fields"), [["Time", at.toISOString()], ...Object.entries(FIELDS)
    .filter(([key]) => event[key] && event[key] !== "none").map(([key, name]) => [name, event[key]])]);
  byId("detail").hidden = false;
}

function section(id, nodes, before = "") {
  const all = [...(before ? [make("b", { textContent: before }), " "] : []), ...nodes];
  byId(id).closest("section").hidden = !all.length;
  byId(id).replaceChildren(...all);
}

// An event that was opened before the catalogue had come.
const again = () => { if (shown && !byId("detail").hidden) byId("detail").dispatchEvent(new CustomEvent("again")); };
whenReady(again);
