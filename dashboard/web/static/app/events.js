// The Event Log: a window over all loaded rows, newest first, with live rows on top.
import { byId } from "./dom.js";
import { show } from "./event-detail.js";
import { Stream, showState } from "./live.js";

const [log, box, form, announce] = ["log", "rows", "filters", "announce"].map(byId);
const narrow = matchMedia("(max-width: 640px)");
const state = { rows: [], held: [], paused: false, more: true, loading: false, connection: "reconnecting", selected: null, version: 0 };

// Rows are kept oldest first, so that a live row is pushed in constant time; the view turns the order round.
const rowAt = (index) => state.rows[state.rows.length - 1 - index];
const filters = () => Object.fromEntries([...new FormData(form)].filter(([, value]) => value));

function matches(event) {
  const f = filters();
  return (!f.severity || f.severity.split(",").includes(event.severity)) && (!f.peer || event.peer_id === f.peer)
    && (!f.negotiation || event.negotiation === f.negotiation) && (!f.code || event.code.startsWith(f.code)) && (!f.q || event.text.toLowerCase().includes(f.q.toLowerCase()));
}

// Every row is as high as every other, so that where one stands is a product, whatever their number.
const OVERSCAN = 12, HEAD = 32;
const height = () => (narrow.matches ? 52 : 32);
const total = () => state.rows.length * height();

function visible() {
  const first = Math.max(0, Math.floor(log.scrollTop / height()) - OVERSCAN);
  const end = Math.min(state.rows.length, Math.ceil((log.scrollTop + log.clientHeight) / height()) + OVERSCAN);
  return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
}

function scrollToRow(index) {
  const top = index * height(), room = log.clientHeight - HEAD - height();
  if (top < log.scrollTop) log.scrollTop = top;
  else if (top > log.scrollTop + room) log.scrollTop = top - room;
}

log.addEventListener("scroll", () => schedule(), { passive: true });
narrow.addEventListener("change", () => { nodes.forEach((row) => row.remove()); nodes.clear(); refresh(); });
new ResizeObserver(() => schedule()).observe(log);

let drawing = false;
function schedule() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; draw(); });
}

// The room for all rows is there at once, so that whoever reads further down can be kept in place.
function refresh() {
  box.style.height = `${total()}px`;
  schedule();
}

function span(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.setAttribute("role", "gridcell");
  element.textContent = text;
  return element;
}

const nodes = new Map();
function node(event) {
  let row = nodes.get(event.seq);
  if (!row) {
    row = document.createElement("div");
    row.className = "log-row";
    row.setAttribute("role", "row");
    row.id = `row-${event.seq}`;
    row.dataset.severity = event.severity;
    row.dataset.seq = event.seq;
    const at = new Date(event.time * 1000);
    row.append(span("time", narrow.matches ? at.toLocaleTimeString() : at.toLocaleString()), span("sev", event.severity),
      span("peer", event.peer || "–"), span("text", event.text));
    row.title = event.text;
    nodes.set(event.seq, row);
  }
  return row;
}

function draw() {
  const items = visible().map((index) => [index, rowAt(index)]).filter(([, event]) => event);
  const wanted = new Set(items.map(([, event]) => event.seq));
  for (const [seq, row] of nodes) if (!wanted.has(seq)) { row.remove(); nodes.delete(seq); }
  let above = null;
  for (const [index, event] of items) {
    const row = node(event);
    row.style.transform = `translateY(${index * height()}px)`;
    row.setAttribute("aria-rowindex", index + 2);
    row.setAttribute("aria-selected", event.seq === state.selected);
    // In the order in which they are seen, for those who hear them.
    if (!row.isConnected || row.previousElementSibling !== above) box.insertBefore(row, above ? above.nextSibling : box.firstChild);
    above = row;
  }
  log.setAttribute("aria-rowcount", state.rows.length + 1);
  byId("empty").hidden = state.rows.length > 0 || state.loading;
  if (state.more && log.scrollTop + log.clientHeight * 3 > total()) loadOlder();
}

async function fetchPage(before) {
  const query = new URLSearchParams(filters());
  if (before) query.set("before", before);
  const answer = await fetch(`rows/?${query}`);
  if (answer.redirected) showConnection("ended");
  if (!answer.ok || answer.redirected) throw new Error(`rows: ${answer.status}`);
  return answer.json();
}

async function loadOlder() {
  if (state.loading || !state.rows.length) return;
  state.loading = true;
  const version = state.version;
  try {
    const page = await fetchPage(state.rows[0].seq);
    if (version !== state.version) return;
    state.more = page.more;
    state.rows = page.rows.reverse().concat(state.rows);
  } finally { state.loading = false; }
  refresh();
}

async function reload() {
  const version = ++state.version;
  state.loading = true;
  history.replaceState(null, "", `?${new URLSearchParams(filters())}`);
  showChip();
  const page = await fetchPage();
  state.loading = false;
  if (version !== state.version) return null;
  nodes.forEach((row) => row.remove());
  nodes.clear();
  const newest = page.rows[0]?.seq ?? 0;
  const since = state.rows.filter((row) => row.seq > Math.max(newest, page.last) && matches(row));
  state.rows = page.rows.reverse().concat(since);
  state.more = page.more;
  refresh();
  return page.last;
}

// Live rows. Somebody who reads further down is not moved: the view is pushed down with its rows.
let fresh = 0;
function arrive(event) {
  if (!matches(event)) return;
  if (state.paused) { state.held.push(event); return showHeld(); }
  push([event]);
}

function push(events) {
  const reading = log.scrollTop > 40;
  state.rows.push(...events);
  refresh();
  if (reading) { log.scrollTop += events.length * height(); fresh += events.length; }
  showHeld();
  clearTimeout(push.timer);
  push.count = (push.count || 0) + events.length;
  push.timer = setTimeout(() => { announce.textContent = `${push.count} new events`; push.count = 0; }, 2000);
}

function showHeld() {
  const count = state.held.length || fresh;
  byId("newer").hidden = !count;
  byId("newer").textContent = `↑ ${count} new`;
}

function showConnection(name) {
  if (name) state.connection = name;
  showState(byId("connection"), state.paused ? "paused" : state.connection);
}

function resume() {
  state.paused = false;
  push(state.held.splice(0));
  byId("pause").textContent = "Pause";
  byId("pause").setAttribute("aria-pressed", "false");
  showConnection();
}

byId("pause").addEventListener("click", () => {
  if (state.paused) return resume();
  state.paused = true;
  byId("pause").textContent = "Resume";
  byId("pause").setAttribute("aria-pressed", "true");
  return showConnection();
});
byId("newer").addEventListener("click", () => {
  if (state.paused) resume();
  fresh = 0;
  log.scrollTop = 0;
  showHeld();
});
log.addEventListener("scroll", () => { if (log.scrollTop < 5 && fresh) { fresh = 0; showHeld(); } }, { passive: true });

// Details. A peer that was removed has no page; the filter lists those that exist.
const peers = new Set([...byId("f-peer").options].map((option) => option.value));
let current = null;

function select(event) {
  if (!event) return;
  current = event;
  state.selected = event.seq;
  log.setAttribute("aria-activedescendant", `row-${event.seq}`);
  show(event, { peerExists: (id) => peers.has(id) });
  schedule();
}

function close() {
  byId("detail").hidden = true;
  state.selected = null;
  log.removeAttribute("aria-activedescendant");
  log.focus();
  schedule();
}

log.addEventListener("click", (event) => {
  const row = event.target.closest(".log-row");
  if (row) select(state.rows.find((item) => item.seq === Number(row.dataset.seq)));
});
log.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && state.selected !== null) return byId("detail").focus();
  const page = Math.max(1, Math.floor(log.clientHeight / height()) - 2);
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
  if (!step || !state.rows.length || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  event.preventDefault();
  const at = state.rows.findIndex((item) => item.seq === state.selected);
  const index = at < 0 ? 0 : Math.min(state.rows.length - 1, Math.max(0, state.rows.length - 1 - at + step));
  select(rowAt(index));
  return scrollToRow(index);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !byId("detail").hidden) close(); });
byId("d-close").addEventListener("click", close);
byId("detail").addEventListener("again", () => select(current));
byId("d-negotiation").addEventListener("click", () => onlyNegotiation(current?.negotiation));
byId("chip-off").addEventListener("click", () => onlyNegotiation(""));

function onlyNegotiation(negotiation) {
  byId("f-negotiation").value = negotiation ?? "";
  reload();
}

function showChip() {
  const { negotiation } = filters();
  byId("chip").hidden = !negotiation;
  byId("chip-name").textContent = negotiation || "";
}

let typing;
form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(reload, 200); });
form.addEventListener("submit", (event) => event.preventDefault());

const last = await reload();
new Stream("/live/events", {
  lastId: last ?? 0,
  onState: showConnection,
  kinds: {
    log: arrive,
    gap: (gap) => push([{ seq: gap.to, time: Date.now() / 1000, severity: "warning", code: "log.gap", peer: null,
      text: `events ${gap.from} to ${gap.to} are no longer kept` }]),
  },
});
