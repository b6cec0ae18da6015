// The command palette: Ctrl-K, or the button. A combobox with a list box (WAI-ARIA 1.2); the search page does the same without it.
import { make } from "./dom.js";

const button = document.getElementById("palette-button");
const WAIT_MS = 120;

function build() {
  const input = make("input", { type: "text", id: "palette-input", className: "palette-input", autocomplete: "off", spellcheck: false, maxLength: 100, placeholder: "Address, subnet, SPI, cookie, peer, user, event code, page" });
  const list = make("ul", { id: "palette-list", className: "hits" });
  const status = make("p", { className: "palette-status text-secondary" });
  const dialog = make("dialog", { className: "palette" }, input, list, status);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list", "aria-label": "Search" })) input.setAttribute(name, value);
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Results");
  status.setAttribute("role", "status");
  dialog.setAttribute("aria-label", "Search");
  document.body.append(dialog);
  return { dialog, input, list, status };
}

let parts;
let chosen = -1;
let asked = 0;
let timer;

function choose(index) {
  const options = [...parts.list.children];
  if (!options.length) return;
  chosen = (index + options.length) % options.length;
  options.forEach((option, n) => option.setAttribute("aria-selected", String(n === chosen)));
  options[chosen].scrollIntoView({ block: "nearest" });
  parts.input.setAttribute("aria-activedescendant", options[chosen].id);
}

function show(hits) {
  parts.list.replaceChildren(...hits.map((hit, n) => {
    const option = make("li", { id: `palette-${n}` },
      make("span", { className: "hit-kind", textContent: hit.kind }), " ",
      make("span", { className: "hit-title", textContent: hit.title }), " ",
      make("span", { className: "text-secondary", textContent: hit.detail }));
    option.dataset.url = hit.url;
    option.setAttribute("role", "option");
    option.addEventListener("click", () => location.assign(hit.url));
    return option;
  }));
  parts.input.setAttribute("aria-expanded", String(hits.length > 0));
  parts.input.removeAttribute("aria-activedescendant");
  chosen = -1;
  if (hits.length) choose(0);
  parts.status.textContent = parts.input.value.trim() ? `${hits.length} ${hits.length === 1 ? "result" : "results"}` : "Type what you look for. ↑ ↓ choose, Enter opens, Esc closes.";
}

async function ask() {
  const mine = ++asked;
  const text = parts.input.value.trim();
  if (!text) return show([]);
  try {
    const answer = await fetch(`/search/results/?q=${encodeURIComponent(text)}`, { redirect: "manual" });
    if (mine !== asked) return undefined; // a later question has been asked
    if (answer.ok) return show((await answer.json()).hits);
    parts.status.textContent = answer.type === "opaqueredirect" ? "Your session has ended. Load the page again." : "The search does not answer.";
  } catch {
    if (mine === asked) parts.status.textContent = "The dashboard does not answer.";
  }
  return undefined;
}

function onKey(event) {
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in moves) choose(chosen + moves[event.key]);
  else if (event.key === "Enter" && chosen >= 0) location.assign(parts.list.children[chosen].dataset.url);
  else return;
  event.preventDefault();
}

function open() {
  if (!parts) {
    parts = build();
    parts.input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, WAIT_MS); });
    parts.input.addEventListener("keydown", onKey);
    parts.dialog.addEventListener("click", (event) => { if (event.target === parts.dialog) parts.dialog.close(); });
    show([]);
  }
  if (!parts.dialog.open) parts.dialog.showModal();
  parts.input.focus();
  parts.input.select();
}

if (button) {
  button.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab gets the page
    event.preventDefault();
    open();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
    }
  });
}
