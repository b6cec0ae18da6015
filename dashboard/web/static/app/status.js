// The VPN status: the page follows the engine's status without being drawn anew.
import { byId, copyButton, fill, make, post, put, signInLink } from "./dom.js";
import { about, letter, linked, there, whenReady } from "./explain.js";
import { Stream, showState } from "./live.js";
import { SIDES, age, ago, octets, verdict } from "./words.js";

const root = byId("appliances");
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
const WAIT_MS = 10_000;
const MAY_OPERATE = document.body.dataset.may.split(" ").includes("operate");
const ACTIONS = { initiate: ["Bring up", "Bringing up…"], rekey: ["Rekey", "Rekeying…"], terminate: ["Tear down", "Tearing down…"] };
const COLUMNS = ["Local subnet", "Remote subnet", "State", "SPI in", "SPI out", "Transform", "In", "Out", "Age", "Rekey in"];

// What a command is expected to change.
const signature = (peer) => [peer.phase1.state, peer.phase1.initiator_cookie, peer.last_failure?.time.toFixed(), ...peer.sas.map((sa) => sa.spi_in)].join();

function peerCard(id) {
  const card = { id, peer: null, pending: null, buttons: {} };
  for (const [op, [label]] of Object.entries(ACTIONS)) {
    card.buttons[op] = make("button", { type: "button", className: "btn btn-sm", textContent: label, onclick: () => act(card, op) });
  }
  card.name = make("h2", { className: "card-title" });
  card.state = make("span", { className: "status" });
  card.note = make("p", { className: "note", role: "status", hidden: true });
  card.failure = failureBlock(card);
  card.phase1 = make("dl", { className: "fields facts mb-3" });
  card.rows = make("tbody", { role: "rowgroup" });
  const head = make("tr", { role: "row" }, ...COLUMNS.map((text) => make("th", { role: "columnheader", textContent: text })));
  card.table = make("div", { className: "table-responsive" }, make("table", { className: "table sas cards", role: "table" },
    make("caption", { className: "visually-hidden", textContent: "IPsec SA pairs" }), make("thead", { role: "rowgroup" }, head), card.rows));
  card.element = make("section", { className: "card peer-card", id: `peer-${id}` },
    make("div", { className: "card-header d-flex flex-wrap gap-2" }, card.name, card.state,
      make("span", { className: "ms-auto d-flex flex-wrap gap-1" }, ...Object.values(card.buttons))),
    make("div", { className: "card-body" }, card.note, card.failure.element, card.phase1, card.table));
  return card;
}

function failureBlock(card) {
  const part = { title: make("h3"), when: make("p", { className: "text-secondary mb-2" }), text: make("p", { className: "line" }),
    hint: make("p", { className: "hint" }), there: make("span") };
  const copy = copyButton("Copy for the other side", () => letter({ ...card.peer.last_failure, peer: card.peer.name, local: card.peer.phase1.local, remote: card.peer.remote }));
  part.ask = make("p", { className: "mb-2" }, make("b", { textContent: "Ask the other side: " }), part.there, " ", copy);
  part.log = make("a", { href: `/events/?peer=${card.id}&severity=error,warning`, textContent: "See it in the Event Log" });
  part.element = make("div", { className: "failure", hidden: true }, part.title, part.when, part.text, part.hint, part.ask, part.log);
  return part;
}

function showFailure(card, failure) {
  const part = card.failure;
  part.element.hidden = !failure;
  if (!failure) return;
  put(part.when, [ago(failure.time), SIDES[failure.side]].filter(Boolean).join(" · "));
  const key = `${failure.code} ${failure.time.toFixed()} ${about(failure.code).title}`;
  if (part.key === key) return;
  part.key = key;
  part.title.textContent = about(failure.code).title || "The negotiation failed";
  part.text.textContent = failure.text;
  part.hint.replaceChildren(make("b", { textContent: "What to change here: " }), ...linked(failure.hint, card.id));
  part.hint.hidden = !failure.hint;
  part.there.textContent = there(failure);
  part.ask.hidden = !part.there.textContent;
}

function note(card, text, ...more) {
  card.note.hidden = !text;
  card.note.replaceChildren(text, ...more);
}

async function act(card, op) {
  const button = card.buttons[op];
  if (card.pending || button.getAttribute("aria-disabled") === "true") return;
  card.pending = { op, before: signature(card.peer), until: Date.now() + WAIT_MS };
  note(card, "");
  showButtons(card);
  const { error, signIn } = await post(`${op}/${card.id}/`, token);
  if (error) {
    card.pending = null;
    note(card, `${error} `, ...(signIn ? [signInLink()] : []));
    showButtons(card);
  }
}

function settle(card) {
  if (!card.pending) return;
  if (signature(card.peer) !== card.pending.before) card.pending = null;
  else if (Date.now() > card.pending.until) {
    card.pending = null;
    note(card, "Nothing has changed in ten seconds. ", make("a", { href: `/events/?peer=${card.id}`, textContent: "The Event Log says what was tried." }));
  }
}

function showButtons(card) {
  const { phase1, sas } = card.peer;
  const usable = { initiate: !sas.some((sa) => sa.state === "mature"), rekey: sas.length > 0, terminate: sas.length > 0 || phase1.state !== "down" };
  for (const [op, button] of Object.entries(card.buttons)) {
    const busy = card.pending?.op === op;
    put(button, ACTIONS[op][busy ? 1 : 0]);
    button.setAttribute("aria-busy", busy);
    button.setAttribute("aria-disabled", !MAY_OPERATE || card.stale || (card.pending ? !busy : !usable[op]));
    if (!MAY_OPERATE) button.title = document.body.dataset.whoOperate;
  }
}

function fillRows(body, rows) {
  while (body.children.length > rows.length) body.lastChild.remove();
  rows.forEach((cells, index) => {
    const row = body.children[index] ?? body.appendChild(make("tr", { role: "row" }, ...cells.map((_, column) => {
      const cell = make("td", { role: "cell" });
      cell.dataset.label = COLUMNS[column];
      return cell;
    })));
    cells.forEach((text, column) => put(row.children[column], text));
  });
}

const cards = new Map();
function show(peer, dataPath) {
  if (!cards.has(peer.id)) { cards.set(peer.id, peerCard(peer.id)); root.append(cards.get(peer.id).element); }
  const card = cards.get(peer.id);
  Object.assign(card, { peer, stale: false });
  card.element.classList.remove("stale");
  put(card.name, peer.name);
  const [tone, words] = verdict(peer);
  put(card.state, words);
  card.state.className = `status ${tone}`;
  settle(card);
  showButtons(card);
  showFailure(card, peer.last_failure);
  showPhase1(card, peer, dataPath);
  card.table.hidden = !peer.sas.length;
  fillRows(card.rows, peer.sas.map((sa) => [sa.local, sa.remote, sa.state, sa.spi_in, sa.spi_out,
    sa.encryption + (sa.integrity ? `-${sa.integrity}` : "") + (sa.pfs_group ? ` PFS ${sa.pfs_group}` : ""),
    `${octets(sa.bytes_in)} / ${sa.packets_in}`, `${octets(sa.bytes_out)} / ${sa.packets_out}`, age(sa.age_s), age(sa.rekey_in_s)]));
}

const NAT = { none: "none seen", local: "in front of this side", remote: "in front of the peer", both: "on both sides" };
function showPhase1(card, peer, dataPath) {
  const p = peer.phase1;
  fill(card.phase1, [["Gateway", peer.remote], ...(dataPath ? [["Data path", dataPath]] : []), ["Phase 1", p.state], ...(p.state === "established" ? [
    ["Since", `${age(p.age_s)}, as ${p.role}${p.exchange === "aggressive" ? ", aggressive mode" : ""}`], ["Proposal", `${p.encryption}-${p.hash}-${p.group}`], ["Path", `${p.local} – ${p.remote}`],
    ["Cookies", `${p.initiator_cookie}:${p.responder_cookie}`], ["Identities", `${p.local_identity} – ${p.remote_identity}`],
    ...(p.remote_certificate ? [["Peer's certificate", `${p.remote_certificate}, until ${new Date(p.remote_certificate_until * 1000).toLocaleDateString()}`]] : []),
    ["Address translation", NAT[p.nat]], ["Dead peer detection", p.dpd ? "yes" : "the peer does not announce it"], ["Rekey in", age(p.rekey_in_s)]]
    : [["Subnets", peer.selectors.map(([mine, theirs]) => `${mine} – ${theirs}`).join(", ")]])]);
}

// Which data path carries the packets, and why no other one does.
const paths = byId("data-paths");
function showPaths(appliances) {
  const lines = appliances.filter((a) => a.data_path).flatMap((a) => {
    const place = appliances.length > 1 ? `${a.appliance}: ` : "";
    const why = [...new Set([...(a.data_path.passed_over ?? []), ...(a.conditions ?? [])])].map(sentence);
    return [`${place}Packets are carried by the data path “${a.data_path.name}”. ${why.join(" ")}`.trim()];
  });
  paths.hidden = !lines.length;
  put(paths, lines.join(" "));
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

// What was true when the engine spoke last is not shown as if it were true now.
function expire() {
  for (const card of cards.values()) {
    Object.assign(card, { stale: true, pending: null });
    card.element.classList.add("stale");
    card.state.className = "status status-yellow";
    put(card.state, "? not known while the engine is down");
    showButtons(card);
  }
}

const notice = byId("notice");
function render({ appliances }) {
  if (root.getAttribute("aria-busy")) { root.replaceChildren(); root.removeAttribute("aria-busy"); }
  const silent = appliances.filter((a) => a.engine !== "up");
  const peers = appliances.flatMap((a) => a.peers ?? []);
  notice.hidden = !silent.length && peers.length > 0;
  if (silent.length) {
    put(notice, silent.map((a) => (a.engine === "down" ? `${a.appliance}: the engine is down. It is being started again, which takes a few seconds.`
      : `${a.appliance}: no news from the engine. If this stays, look into log/agent.log and log/engine.log in the state directory.`)).join(" "));
  } else if (!peers.length && !notice.querySelector("a")) {
    notice.replaceChildren("No peer is configured. ", make("a", { href: "/vpn/", textContent: "Add one under Site-to-site VPN" }), ".");
  }
  if (silent.length) { showPaths([]); return expire(); }
  const seen = new Set(peers.map((peer) => peer.id));
  showPaths(appliances);
  for (const a of appliances) for (const peer of a.peers ?? []) show(peer, a.data_path?.name);
  for (const [id, card] of cards) if (!seen.has(id)) { card.element.remove(); cards.delete(id); }
  if (location.hash && !render.jumped) { render.jumped = true; byId(location.hash.slice(1))?.scrollIntoView(); }
  return undefined;
}

whenReady(() => { for (const card of cards.values()) showFailure(card, card.peer.last_failure); });
new Stream("/live/status", { onState: (s) => showState(byId("connection"), s), kinds: { status: render } });
