// The VPN status: the page follows the engine's status without being drawn anew.
import { Stream, showState } from "./live.js";

const root = document.getElementById("appliances");
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Text is set only where it changed, so that nothing flashes and selections stay.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const age = (seconds) => {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  return s < 3600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
};
const octets = (n) => (n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(2)} GB`);

function verdict(peer) {
  const live = peer.sas.filter((sa) => sa.state === "mature").length;
  if (live) return ["status-green", `● up, ${live} SA ${live === 1 ? "pair" : "pairs"}`];
  if (peer.phase1.state === "negotiating") return ["status-yellow", "◌ negotiating phase 1"];
  if (peer.last_failure) return ["status-red", "✕ down"];
  if (peer.phase1.state === "established") return ["status-yellow", "◐ phase 1 only"];
  return ["", { traffic: "○ waits for traffic", responder: "○ waits for the peer", immediate: "○ down" }[peer.start]];
}

async function act(op, peer) {
  await fetch(`${op}/${peer}/`, { method: "POST", headers: { "X-CSRFToken": token } });
}

function peerCard(id) {
  const part = {};
  const actions = [["initiate", "Bring up"], ["rekey", "Rekey"], ["terminate", "Tear down"]].map(([op, label]) =>
    make("button", { type: "button", className: "btn btn-sm", textContent: label, onclick: () => act(op, id) }));
  part.name = make("h2", { className: "card-title" });
  part.state = make("span", { className: "status" });
  part.failure = make("div", { className: "alert alert-danger", hidden: true });
  part.phase1 = make("dl", { className: "fields mb-3" });
  part.rows = make("tbody");
  const head = ["Local subnet", "Remote subnet", "State", "SPI in", "SPI out", "Transform", "In", "Out", "Age", "Rekey in"];
  part.table = make("div", { className: "table-responsive" }, make("table", { className: "table sas" },
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { textContent: text })))), part.rows));
  part.element = make("section", { className: "card peer-card" },
    make("div", { className: "card-header d-flex flex-wrap gap-2" }, part.name, part.state,
      make("span", { className: "ms-auto d-flex gap-1" }, ...actions)),
    make("div", { className: "card-body" }, part.failure, part.phase1, part.table));
  return part;
}

function fill(list, pairs) {
  while (list.children.length > pairs.length * 2) list.lastChild.remove();
  while (list.children.length < pairs.length * 2) list.append(make("dt"), make("dd"));
  pairs.forEach(([name, value], index) => { put(list.children[index * 2], name); put(list.children[index * 2 + 1], value); });
}

function fillRows(body, rows) {
  while (body.children.length > rows.length) body.lastChild.remove();
  rows.forEach((cells, index) => {
    const row = body.children[index] ?? body.appendChild(make("tr", {}, ...cells.map(() => make("td"))));
    cells.forEach((text, column) => put(row.children[column], text));
  });
}

const cards = new Map();
function show(peer) {
  if (!cards.has(peer.id)) { cards.set(peer.id, peerCard(peer.id)); root.append(cards.get(peer.id).element); }
  const card = cards.get(peer.id);
  const [tone, words] = verdict(peer);
  put(card.name, peer.name);
  put(card.state, words);
  card.state.className = `status ${tone}`;
  card.failure.hidden = !peer.last_failure;
  if (peer.last_failure) put(card.failure, `${peer.last_failure.text} — ${peer.last_failure.hint}`);
  const p = peer.phase1;
  fill(card.phase1, [["Gateway", peer.remote], ["Phase 1", p.state], ...(p.state === "established" ? [
    ["Since", age(p.age_s)], ["Role", p.role], ["Proposal", `${p.encryption}-${p.hash}-${p.group}`], ["Path", `${p.local} – ${p.remote}`],
    ["Cookies", `${p.initiator_cookie}:${p.responder_cookie}`], ["Identities", `${p.local_identity} – ${p.remote_identity}`],
    ["NAT", p.nat], ["Dead peer detection", p.dpd ? "yes" : "the peer does not announce it"], ["Rekey in", age(p.rekey_in_s)]] : [])]);
  card.table.hidden = !peer.sas.length;
  fillRows(card.rows, peer.sas.map((sa) => [sa.local, sa.remote, sa.state, sa.spi_in, sa.spi_out,
    sa.encryption + (sa.integrity ? `-${sa.integrity}` : "") + (sa.pfs_group ? ` PFS ${sa.pfs_group}` : ""),
    `${octets(sa.bytes_in)} / ${sa.packets_in}`, `${octets(sa.bytes_out)} / ${sa.packets_out}`, age(sa.age_s), age(sa.rekey_in_s)]));
}

const notice = make("div", { className: "alert alert-warning", hidden: true });
function render({ appliances }) {
  if (root.getAttribute("aria-busy")) { root.replaceChildren(notice); root.removeAttribute("aria-busy"); }
  const seen = new Set();
  const silent = appliances.filter((a) => a.engine !== "up");
  notice.hidden = !silent.length && appliances.some((a) => a.peers?.length);
  put(notice, silent.length
    ? silent.map((a) => `${a.appliance}: ${a.engine === "down" ? "the engine is down; it is being started again" : "no news from the engine"}.`).join(" ")
    : "No peer is configured. Add one under Site-to-site VPN.");
  for (const appliance of appliances) for (const peer of appliance.peers ?? []) { seen.add(peer.id); show(peer); }
  if (!silent.length) for (const [id, card] of cards) if (!seen.has(id)) { card.element.remove(); cards.delete(id); }
}

new Stream("/live/status", { onState: (s) => showState(document.getElementById("connection"), s), kinds: { status: render } });
