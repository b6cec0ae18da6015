// The site's page: how far the newest revision has come, what the tunnels do, subnets checked as typed.
import { byId, put } from "./dom.js";
import { Stream } from "./live.js";
import { checkAsTyped } from "./subnets.js";
import { verdict } from "./words.js";

const PENDING_MS = 700;
const SETTLED_MS = 8000;

// Server-made, escaped markup is put in place only where it has changed: nothing is announced twice.
async function follow() {
  try {
    const answer = await fetch("/vpn/state/", { redirect: "manual" });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of ["revision", "revision-problem"]) {
        const [now, next] = [byId(id), fresh.getElementById(id)];
        if (next && !now.isEqualNode(next)) now.replaceWith(document.adoptNode(next));
      }
    }
  } catch { /* the dashboard is away; it is asked again */ }
  setTimeout(follow, byId("revision").dataset.state === "pending" ? PENDING_MS : SETTLED_MS);
}
setTimeout(follow, byId("revision").dataset.state === "pending" ? PENDING_MS : SETTLED_MS);

function showStates({ appliances }) {
  const peers = new Map(appliances.flatMap((appliance) => appliance.peers ?? []).map((peer) => [peer.id, peer]));
  const isUp = appliances.every((appliance) => appliance.engine === "up");
  for (const element of document.querySelectorAll("[data-peer]")) {
    const peer = peers.get(element.dataset.peer);
    const [tone, words] = !isUp ? ["status-yellow", "? engine is down"] : peer ? verdict(peer) : ["", "○ not in force yet"];
    element.className = `status ${tone}`;
    put(element, words);
  }
}
if (document.querySelector("[data-peer]")) new Stream("/live/status", { onState: () => {}, kinds: { status: showStates } });

const form = byId("subnets-form");
const token = form.elements.csrfmiddlewaretoken.value;
for (const input of form.querySelectorAll("[name$='-subnet']")) {
  checkAsTyped(input, byId(`${input.id}_error`), { address: form.dataset.check, token, fields: { side: "local" } });
}
if (location.hash === "#h-local") byId("h-local").focus();

// What goes down at once is asked about first.
for (const button of document.querySelectorAll("[data-confirm]")) {
  button.addEventListener("click", (event) => { if (!confirm(button.dataset.confirm)) event.preventDefault(); });
}
