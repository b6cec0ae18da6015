// The page of a peer: commands whose effect, or lack of it, is said, and the text for the other side.
import { Idiomorph } from "../vendor/idiomorph.js";
import { byId, copyButton, post, signInLink } from "./dom.js";
import { letter, whenReady } from "./explain.js";
import { refresh } from "./live-part.js";

const WAIT_MS = 10_000;
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
const note = byId("note");
const facts = byId("facts");
let pending = null;

const signature = () => facts.querySelector("[data-signature]").dataset.signature;
const say = (...parts) => { note.hidden = !parts.length; note.replaceChildren(...parts); };

function show() {
  const usable = facts.querySelector("[data-usable]").dataset.usable.split(" ");
  for (const button of document.querySelectorAll("[data-act]")) {
    const busy = pending?.button === button;
    button.setAttribute("aria-busy", busy);
    button.setAttribute("aria-disabled", pending ? !busy : !usable.includes(button.dataset.act));
    button.textContent = busy ? button.dataset.busy : button.dataset.label;
  }
}

async function act(button) {
  if (pending || button.getAttribute("aria-disabled") === "true") return;
  pending = { button, before: signature(), until: Date.now() + WAIT_MS };
  say();
  show();
  const { error, signIn } = await post(button.dataset.url, token);
  if (error) { pending = null; say(`${error} `, ...(signIn ? [signInLink()] : [])); show(); }
}

facts.addEventListener("refreshed", () => {
  if (pending && signature() !== pending.before) pending = null;
  else if (pending && Date.now() > pending.until) {
    pending = null;
    say("Nothing has changed in ten seconds. The ladder below shows what was tried.");
  }
  show();
});
for (const button of document.querySelectorAll("[data-act]")) {
  button.dataset.label = button.textContent;
  button.addEventListener("click", () => act(button));
}
show();

// The letter to the other side is made of the event, which stands in the page as JSON.
function offerLetter() {
  const place = byId("letter");
  const source = byId("failure-event");
  if (!place || !source || place.dataset.kept) return;
  place.dataset.kept = "1";
  place.append(copyButton("Copy for the other side", () => letter(JSON.parse(byId("failure-event").textContent))));
}
whenReady(offerLetter);
byId("diagnosis").addEventListener("refreshed", offerLetter);

// Another negotiation is drawn in place; its address is kept.
byId("diagnosis").addEventListener("click", (event) => {
  const link = event.target.closest("a[data-negotiation]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const part = byId("diagnosis");
  part.dataset.live = `${part.dataset.base}?negotiation=${link.dataset.negotiation}`;
  const address = new URL(location);
  address.searchParams.set("negotiation", link.dataset.negotiation);
  address.hash = "ladder";
  history.replaceState(null, "", address);
  refresh(part).then(() => byId("ladder").focus());
});

// The doctor takes some seconds; what it finds is a template of ours that the server has escaped.
const doctor = byId("doctor");
doctor.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = doctor.querySelector("button");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", true);
  const place = byId("examination");
  place.textContent = "Looking at the tunnel from end to end…";
  try {
    const answer = await fetch(doctor.action, { method: "POST", body: new FormData(doctor), redirect: "manual" });
    if (answer.ok) Idiomorph.morph(place, await answer.text(), { morphStyle: "innerHTML" });
    else place.textContent = "The dashboard could not ask the doctor. Load the page again.";
  } catch {
    place.textContent = "The dashboard does not answer.";
  }
  button.removeAttribute("aria-busy");
});
