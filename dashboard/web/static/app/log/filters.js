// What the log is to show: kept in the address, shown in the form and as chips that can be taken off.
import { byId, make } from "../dom.js";
import { fromField, toField } from "../zone.js";

const form = byId("filters");
const LISTS = ["type", "not", "peer", "site", "appliance"];
const WORDS = { type: "Only", not: "Without", peer: "Peer", site: "Site", appliance: "Appliance", negotiation: "Negotiation" };
const KNOWN = ["q", "severity", "from", "to", "negotiation", ...LISTS];
const names = JSON.parse(byId("names").dataset.names || "{}");
const state = { lists: {}, negotiation: "", from: "", to: "", changed: () => {} };

export { fromField as utc };

// The address in, the form out.
export function read() {
  const query = new URLSearchParams(location.search);
  const each = (name) => query.getAll(name).flatMap((value) => value.split(",")).map((value) => value.trim()).filter(Boolean);
  byId("f-q").value = query.get("q") || "";
  setSeverity(each("severity").join(","));
  state.lists = Object.fromEntries(LISTS.map((name) => [name, [...new Set(each(name))]]));
  state.lists.type = [...new Set([...state.lists.type, ...each("code")])];
  state.negotiation = query.get("negotiation") || "";
  setRange(query.get("from") || "", query.get("to") || "");
  showChips();
  return query;
}

function setSeverity(value) {
  const select = byId("f-severity");
  if (![...select.options].some((option) => option.value === value)) select.add(new Option(value.replaceAll(",", ", "), value));
  select.value = value;
}

function setRange(from, to) {
  Object.assign(state, { from, to });
  const select = byId("f-range");
  const preset = !to && [...select.options].some((option) => option.value === from);
  select.value = preset ? from : "custom";
  byId("custom-range").hidden = preset;
  byId("f-from").value = preset ? "" : toField(from);
  byId("f-to").value = toField(to);
}

// The fields of an address that says what is shown; empty ones are left out.
export function fields() {
  const query = new URLSearchParams();
  const put = (name, value) => { if (value) query.append(name, value); };
  put("q", byId("f-q").value.trim());
  put("severity", byId("f-severity").value);
  put("from", state.from);
  put("to", state.to);
  for (const name of LISTS) put(name, state.lists[name].join(","));
  put("negotiation", state.negotiation);
  return query;
}

export const isFiltered = () => [...fields().keys()].length > 0;

export function only(name, value) {
  if (name === "negotiation") state.negotiation = value;
  else if (value && !state.lists[name].includes(value)) state.lists[name].push(value);
  showChips();
  state.changed();
}

export function clear() {
  for (const name of LISTS) state.lists[name] = [];
  state.negotiation = "";
  byId("f-q").value = "";
  setSeverity("");
  setRange("", "");
  showChips();
  state.changed();
}

function chip(name, value, off) {
  const shown = (names[name] || {})[value] || value;
  const label = `${WORDS[name]}: ${shown}`;
  const button = make("button", { type: "button", className: "btn-close", title: "Remove this filter" });
  button.setAttribute("aria-label", `Remove the filter ${label}`);
  button.addEventListener("click", () => { off(); showChips(); state.changed(); byId("f-q").focus(); });
  const item = make("li", { className: `badge chip chip-${name}` }, make("span", { textContent: label }), " ", button);
  return item;
}

function showChips() {
  const chips = LISTS.flatMap((name) => state.lists[name].map((value) => chip(name, value, () => {
    state.lists[name] = state.lists[name].filter((other) => other !== value);
  })));
  if (state.negotiation) chips.push(chip("negotiation", state.negotiation, () => { state.negotiation = ""; }));
  if (chips.length > 1) {
    const all = make("button", { type: "button", className: "btn btn-sm", textContent: "Remove all filters" });
    all.addEventListener("click", clear);
    chips.push(make("li", {}, all));
  }
  byId("chips").hidden = !chips.length;
  byId("chips").replaceChildren(...chips);
}

// Fields from whose list one value after the other is chosen.
function picker(input, find) {
  const name = input.dataset.picks;
  const list = byId(input.getAttribute("list"));
  let timer, offered = [];
  const offer = async () => {
    offered = await find(input.value.trim().toLowerCase());
    list.replaceChildren(...offered.map(({ value, label }) => make("option", { value: label || value })));
  };
  const take = (must) => {
    const typed = input.value.trim();
    const found = offered.find(({ value, label }) => (label || value) === typed) || (must && offered.length === 1 ? offered[0] : null);
    if (!found) return false;
    if (found.label) (names[name] ??= {})[found.value] = found.label;
    input.value = "";
    only(name, found.value);
    return true;
  };
  input.addEventListener("focus", offer);
  input.addEventListener("input", (event) => {
    event.stopPropagation();
    // A choice from the list comes without a key.
    if (event.inputType === undefined || event.inputType === "insertReplacementText") { if (take(false)) return; }
    clearTimeout(timer);
    timer = setTimeout(offer, 150);
  });
  input.addEventListener("change", (event) => { event.stopPropagation(); take(false); });
  input.addEventListener("keydown", async (event) => {
    if (event.key !== "Enter" || !input.value.trim()) return;
    event.preventDefault();
    clearTimeout(timer);
    await offer();
    if (!take(true)) input.setCustomValidity("Choose one of the list.");
    input.reportValidity();
    input.setCustomValidity("");
  });
}

const lookup = (kind) => async (text) => {
  const answer = await fetch(`/events/choices/?${new URLSearchParams({ kind, q: text })}`);
  if (!answer.ok || answer.redirected) return [];
  return (await answer.json()).choices.map(({ value, name }) => ({ value, label: name }));
};

// A code, or its beginning: ike.phase1 stands for all below it.
const types = (codes) => async (text) => {
  const every = new Set(codes().flatMap((code) => code.split(".").map((_, index, parts) => parts.slice(0, index + 1).join("."))));
  const found = [...every].sort().filter((code) => code.includes(text)).slice(0, 60).map((value) => ({ value }));
  const typed = text.replace(/\.$/, "");
  return /^[a-z0-9_]+(\.[a-z0-9_]+)*$/.test(typed) && !found.some(({ value }) => value === typed) && !found.length ? [{ value: typed }] : found;
};

export function start(changed, codes) {
  state.changed = changed;
  let typing;
  byId("f-q").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(changed, 250); });
  byId("f-severity").addEventListener("change", changed);
  byId("f-range").addEventListener("change", ({ target }) => {
    byId("custom-range").hidden = target.value !== "custom";
    if (target.value === "custom") return byId("f-from").focus();
    setRange(target.value, "");
    return changed();
  });
  for (const [id, name] of [["f-from", "from"], ["f-to", "to"]]) {
    byId(id).addEventListener("change", ({ target }) => { state[name] = fromField(target.value); changed(); });
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); changed(); });
  for (const input of form.querySelectorAll("[data-picks]")) {
    const name = input.dataset.picks;
    picker(input, name === "type" || name === "not" ? types(codes) : lookup(name));
  }
}

// A field that the server has refused, with the rule.
const FIELD = { q: "f-q", severity: "f-severity", from: "f-from", to: "f-to", type: "f-type", not: "f-not", peer: "f-peer", site: "f-site", appliance: "f-appliance", at: "f-at" };
const LABEL = { q: "Text", severity: "Severity", from: "From", to: "To", type: "Only types", not: "Without types", peer: "Peer", site: "Site", appliance: "Appliance", at: "Jump to", negotiation: "Negotiation" };
export function refused({ field, error } = {}) {
  for (const id of Object.values(FIELD)) byId(id)?.removeAttribute("aria-invalid");
  byId("filter-error").hidden = !error;
  if (!error) return;
  byId("filter-error").textContent = `${LABEL[field] || field || "Filter"}: ${error}`;
  if (field === "from" || field === "to") byId("custom-range").hidden = false;
  byId(FIELD[field])?.setAttribute("aria-invalid", "true");
}

// What of an address is no filter stays in it.
export const others = (query) => [...query].filter(([name]) => !KNOWN.includes(name) && name !== "code");
