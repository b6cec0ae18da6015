// The Event Log: what is shown stands in the address, rows come from the store, live ones from a stream, lines from the grid.
import { byId, make } from "./dom.js";
import { show } from "./event-detail.js";
import { about, codes, whenReady } from "./explain.js";
import { Stream, showState } from "./live.js";
import * as exporting from "./log/export.js";
import * as filters from "./log/filters.js";
import { Grid } from "./log/grid.js";
import { Groups } from "./log/groups.js";
import { MOST_ROWS, Store } from "./log/store.js";
import { clock, inUtc, stamp } from "./zone.js";

const log = byId("log");
const narrow = matchMedia("(max-width: 640px)");
const view = { at: "", connection: "reconnecting", fresh: 0, current: null, stream: null };
const groups = new Groups();
const store = new Store({ fields: filters.fields, onChange: changed, onRefused: filters.refused, onSignedOut: () => showConnection("ended") });
const grid = new Grid({
  log, narrow, box: byId("rows"), render, onSelect: ({ event }) => select(event), onToggle: toggle,
  count: () => (groups.grouped ? groups.items().length : store.rows.length),
  item: (index) => { if (groups.grouped) return groups.items()[index]; const event = store.rows[store.rows.length - 1 - index]; return { key: event.seq, event, level: 1 }; },
  onOpen: ({ event }) => { if (byId("detail").hidden) select(event); byId("detail").focus(); },
  onNear: ({ bottom, top }) => { if (bottom) store.older(); if (top) store.newest(); },
});

// Lines

function cell(name, text) {
  const element = make("span", { className: name, textContent: text });
  element.setAttribute("role", "gridcell");
  return element;
}

const words = (event) => (byId("plain").checked && about(event.code).title) || event.text;

function render(row, { event, group, level, open }) {
  const at = event.time * 1000;
  row.dataset.severity = group ? group.worst : event.severity;
  row.dataset.seq = event.seq;
  row.classList.toggle("within", level > 1);
  const text = cell("text", words(event));
  if (group) text.prepend(make("span", { className: "fold-group", textContent: open ? "▾" : "▸" }), make("span", { className: "badge count", textContent: `${group.events.length} events` }), " ");
  row.replaceChildren(cell("time", narrow.matches ? clock(at) : stamp(at)), cell("sev", row.dataset.severity), cell("peer", event.peer || "–"), text);
  row.firstChild.title = inUtc(at);
  row.title = event.text;
  if (groups.grouped) row.setAttribute("aria-level", level); else row.removeAttribute("aria-level");
  if (group) row.setAttribute("aria-expanded", Boolean(open)); else row.removeAttribute("aria-expanded");
}

function toggle({ group }) {
  groups.toggle(group.key);
  showRows();
}

function showRows() {
  grid.refresh();
  log.dataset.loaded = store.rows.length;
  // Minus one: how many there are is not known.
  log.setAttribute("aria-rowcount", store.more || store.newer ? -1 : grid.count() + 1);
  log.setAttribute("aria-busy", store.loading && !store.ready);
  showFoot();
}

function showFoot() {
  const empty = store.ready && !store.rows.length && !store.more;
  byId("empty").hidden = !empty && !store.failed;
  byId("empty").replaceChildren(...(store.failed ? failure() : emptiness()));
  byId("foot").textContent = store.failed || empty ? "" : footer();
  byId("foot").hidden = !byId("foot").textContent;
}

function footer() {
  if (!store.ready) return "Loading…";
  if (store.full) return `The newest ${MOST_ROWS.toLocaleString()} events are shown. Narrow the filter, jump to a time, or export for more.`;
  if (store.more) return store.loading && store.last > store.reached ? `Looking further back… ${Math.round(100 * (store.last - store.reached) / Math.max(1, store.last - store.first + 1))} % of the log looked through` : "";
  if (store.first > 1) return `Retention has cut the log here: events 1 to ${(store.first - 1).toLocaleString()} are no longer kept.`;
  return "This is where the log begins.";
}

function failure() {
  if (!byId("filter-error").hidden) return ["Nothing is shown until the filter is mended."];
  const retry = make("button", { type: "button", className: "btn", textContent: "Try again" });
  retry.addEventListener("click", () => (store.ready ? store.again() : load()));
  return ["The dashboard does not answer. ", retry];
}

function emptiness() {
  const text = filters.isFiltered() ? "No event matches. " : "There are no events yet. They appear here as soon as a tunnel is wanted.";
  if (!filters.isFiltered()) return [text];
  const all = make("button", { type: "button", className: "btn", textContent: "Show all events" });
  all.addEventListener("click", filters.clear);
  return [text, all];
}

// Whatever the store has changed, or changes by `add`. Somebody who reads further down is not moved.
function changed(what, events = [], add = () => {}) {
  if (what === "held") return showHeld();
  const anchor = what === "live" || what === "newer" ? grid.anchor(what === "newer") : null;
  const before = grid.count();
  add();
  if (what === "live" || what === "newer") groups.newer(events);
  // They came newest first and were turned round in place.
  else if (what === "older") groups.older(events);
  else if (what === "cleared" || what === "loaded") { groups.rebuild(store.rows, byId("group").checked); grid.clear(); }
  if (what === "cleared") { log.scrollTop = 0; view.fresh = 0; }
  showRows();
  grid.keep(anchor, grid.count() - before);
  if (what === "live" && anchor) view.fresh += events.length;
  if (what === "live") announce(events.length);
  if (what === "newer" && !store.newer) listen();
  return showHeld();
}

function announce(count) {
  clearTimeout(announce.timer);
  announce.count = (announce.count || 0) + count;
  announce.timer = setTimeout(() => { byId("announce").textContent = `${announce.count} new events`; announce.count = 0; }, 2000);
}

// The stream, which goes on where the rows end; while one looks at the past there is none.

async function load() {
  view.stream?.close();
  view.stream = null;
  filters.refused();
  address();
  byId("notice").hidden = true;
  if (!await store.load(view.at)) { if (store.failed) showConnection("failed"); return; }
  if (store.newer) showConnection("past");
  else listen();
}

function listen() {
  view.stream?.close();
  if (view.at) { view.at = ""; address(); }
  view.stream = new Stream(`/live/events?${filters.fields()}`, { lastId: store.top, onState: showConnection, kinds: { log: (event) => store.arrive(event), gap, at: () => {}, reload: load } });
}

function gap({ from, to }) {
  byId("notice").hidden = false;
  byId("notice").textContent = `Retention has cut events ${from.toLocaleString()} to ${to.toLocaleString()} before this page could show them.`;
}

function showConnection(name) {
  if (name) view.connection = name;
  showState(byId("connection"), store.paused && view.connection === "live" ? "paused" : view.connection);
  byId("pause").disabled = view.connection === "past";
  showHeld();
}

function showHeld() {
  const count = store.held.length || view.fresh;
  byId("newer").hidden = !count && !store.newer;
  byId("newer").textContent = store.newer ? "↑ Back to the newest" : `↑ ${store.overflow ? `more than ${count}` : count} new`;
}

function pause(paused) {
  byId("pause").textContent = paused ? "Resume" : "Pause";
  byId("pause").setAttribute("aria-pressed", paused);
  if (paused) store.paused = true;
  else if (!store.resume()) load();
  showConnection();
}

byId("pause").addEventListener("click", () => pause(!store.paused));
byId("newer").addEventListener("click", () => {
  if (store.newer) { view.at = ""; load(); return; }
  if (store.paused) pause(false);
  view.fresh = 0;
  log.scrollTop = 0;
  showHeld();
});
log.addEventListener("scroll", () => { if (log.scrollTop < 5 && view.fresh) { view.fresh = 0; showHeld(); } }, { passive: true });

// The explanation of one event

function select(event) {
  view.current = event;
  show(event);
  byId("d-peer").hidden = !event.peer_id;
}

function close() {
  byId("detail").hidden = true;
  grid.select(null);
  log.focus();
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !byId("detail").hidden) close(); });
byId("d-close").addEventListener("click", close);
byId("detail").addEventListener("again", () => { if (view.current) select(view.current); });
for (const [id, name, field] of [["d-negotiation", "negotiation", "negotiation"], ["d-peer", "peer", "peer_id"], ["d-type", "type", "code"], ["d-not", "not", "code"]]) {
  byId(id).addEventListener("click", () => { if (view.current) filters.only(name, view.current[field]); });
}

// What is shown, and how

function address() {
  const query = filters.fields();
  if (byId("group").checked) query.set("group", "negotiation");
  if (byId("plain").checked) query.set("words", "plain");
  if (view.at) query.set("at", view.at);
  for (const [name, value] of filters.others(new URLSearchParams(location.search))) if (!["group", "words", "at"].includes(name)) query.append(name, value);
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

byId("plain").addEventListener("change", () => { address(); grid.clear(); grid.refresh(); });
byId("group").addEventListener("change", () => {
  log.setAttribute("role", byId("group").checked ? "treegrid" : "grid");
  address();
  groups.rebuild(store.rows, byId("group").checked);
  grid.clear();
  showRows();
});
byId("jump").addEventListener("submit", (event) => {
  event.preventDefault();
  view.at = filters.utc(byId("f-at").value);
  load();
});
byId("export").addEventListener("submit", (event) => {
  event.preventDefault();
  exporting.begin(filters.fields(), byId("f-format").value);
});
byId("export-off").addEventListener("click", exporting.stop);

const query = filters.read();
byId("group").checked = query.get("group") === "negotiation";
byId("plain").checked = query.get("words") === "plain";
log.setAttribute("role", byId("group").checked ? "treegrid" : "grid");
view.at = query.get("at") || "";
filters.start(() => { view.at = ""; load(); }, codes);
whenReady(() => { if (byId("plain").checked) { grid.clear(); grid.refresh(); } });
load();
