// The form of a peer: what the policy contains, a generated secret, subnets checked as typed, unsaved changes.
import { byId, copyButton, make } from "./dom.js";
import { checkAsTyped } from "./subnets.js";

const form = byId("peer-form");
const field = (name) => form.elements[name];

// Policy
const showPreset = () => {
  for (const part of document.querySelectorAll("[data-preset]")) part.hidden = part.dataset.preset !== field("preset").value;
};
field("preset").addEventListener("change", showPreset);
showPreset();

// Fields that the chosen authentication, user or address has no place for are left out of sight; what stands in
// them stays. “a:x|y b:z; c:w” is (a is x or y, and b is z), or c is w.
const holds = (condition) => condition.trim().split(" ").every((part) => {
  const [name, values] = part.split(":");
  return values.split("|").includes(field(name).value);
});
const showWhen = () => {
  for (const part of document.querySelectorAll("[data-when]")) part.hidden = !part.dataset.when.split(";").some(holds);
};
for (const name of ["authentication", "xauth_role", "config_role"]) field(name).addEventListener("change", showWhen);
showWhen();
// The user of a hybrid authentication stands behind the fold.
field("authentication").addEventListener("change", () => { if (field("authentication").value === "hybrid") byId("access").open = true; });

// A link from an explanation leads to a field. The fields of a phase are seen only in a custom policy; those of
// “Advanced” are behind a fold.
function goToHash() {
  let target = location.hash && byId(location.hash.slice(1));
  if (!target) return;
  if (target.closest("[data-preset]")?.hidden) target = field("preset");
  if (target.closest("[data-when]")?.hidden) target = field("authentication");
  const fold = target.closest("details");
  if (fold) fold.open = true;
  target.scrollIntoView({ block: "center" });
  target.focus();
  target.classList.add("pointed-at");
  target.addEventListener("blur", () => target.classList.remove("pointed-at"), { once: true });
}
addEventListener("hashchange", goToHash);
goToHash();
// When the page has come, the browser goes to the anchor itself, and takes the focus off if that is hidden.
if (document.readyState !== "complete") addEventListener("load", () => setTimeout(goToHash), { once: true });

// Secret: 256 bits in letters and digits that nobody confuses and every gateway takes.
const ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";
const LENGTH = 52;
const secret = field("secret");
const generate = () => Array.from(crypto.getRandomValues(new Uint8Array(LENGTH)), (octet) => ALPHABET[octet % ALPHABET.length]).join("");

function secretTools() {
  const tools = byId("secret-tools");
  const note = make("div", { className: "form-hint", role: "status" });
  const show = make("button", { type: "button", className: "btn btn-sm", textContent: "Show" });
  const copy = copyButton("Copy", () => secret.value);
  const reveal = (seen) => {
    secret.type = seen ? "text" : "password";
    show.textContent = seen ? "Hide" : "Show";
  };
  const update = () => { show.hidden = copy.hidden = !secret.value; };
  show.addEventListener("click", () => reveal(secret.type === "password"));
  const make_ = make("button", { type: "button", className: "btn btn-sm", textContent: "Generate a strong one" });
  make_.addEventListener("click", () => {
    secret.value = generate();
    reveal(true);
    note.textContent = "It is shown only now. Copy it, enter it on the other gateway too, then save.";
    secret.dispatchEvent(new Event("input", { bubbles: true }));
  });
  secret.addEventListener("input", () => { if (!secret.value) { reveal(false); note.textContent = ""; } update(); });
  secret.spellcheck = false;
  tools.append(make_, " ", show, " ", copy, note);
  tools.hidden = false;
  update();
}
secretTools();

// Subnets
const subnets = field("remote_subnets");
const errors = byId("id_remote_subnets_error") ?? subnets.parentElement.appendChild(make("div", { id: "id_remote_subnets_error" }));
errors.setAttribute("aria-live", "polite");
checkAsTyped(subnets, errors, { address: form.dataset.check, token: field("csrfmiddlewaretoken").value, fields: { peer: form.dataset.peer ?? "" } });

// Unsaved changes
const contents = () => new URLSearchParams(new FormData(form)).toString();
const opened = contents();
let leaving = false;
const isUnsaved = () => !leaving && ("unsaved" in form.dataset || contents() !== opened);
form.addEventListener("input", () => { byId("unsaved").hidden = !isUnsaved(); });
byId("unsaved").hidden = !isUnsaved();
form.addEventListener("submit", () => { leaving = true; });
addEventListener("pageshow", () => { leaving = false; });
addEventListener("beforeunload", (event) => { if (isUnsaved()) event.preventDefault(); });

byId("delete-form")?.addEventListener("submit", (event) => {
  if (confirm("Remove this peer? Its tunnel goes down at once.")) leaving = true;
  else event.preventDefault();
});
