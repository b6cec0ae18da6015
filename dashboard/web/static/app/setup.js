// The first run: the browser's time zone, a generated secret, and the tunnel as it comes up.
import { byId, copyButton, make, put } from "./dom.js";
import { Stream } from "./live.js";
import { verdict } from "./words.js";

const form = byId("setup-form");
const ALPHABET = "abcdefghijkmnopqrstuvwxyz23456789"; // 33 characters, without those that are mistaken for others
const LENGTH = 40;

function generate() {
  // Whatever is above the last whole multiple is thrown away: each character is as likely as any other.
  const limit = 256 - (256 % ALPHABET.length);
  let text = "";
  while (text.length < LENGTH) {
    for (const byte of crypto.getRandomValues(new Uint8Array(64))) if (byte < limit && text.length < LENGTH) text += ALPHABET[byte % ALPHABET.length];
  }
  return text;
}

if (form?.dataset.step === "place" && !form.querySelector(".has-error")) {
  const select = form.elements.time_zone;
  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (select.value === "UTC" && [...select.options].some((option) => option.value === mine)) select.value = mine;
}

const tools = byId("setup-secret");
if (tools) {
  const secret = form.elements.secret;
  const make_one = make("button", { type: "button", className: "btn btn-sm", textContent: "Generate a strong one" });
  make_one.addEventListener("click", () => { secret.type = "text"; secret.value = generate(); });
  tools.append(make_one, " ", copyButton("Copy it for the other gateway", () => secret.value));
  tools.hidden = false;
}

const place = document.querySelector("[data-peer]");
if (place) {
  new Stream("/live/status", { onState: () => {}, kinds: { status: ({ appliances }) => {
    const peer = appliances.flatMap((appliance) => appliance.peers ?? []).find((one) => one.id === place.dataset.peer);
    const [tone, words] = peer ? verdict(peer) : ["", "○ not in force yet"];
    place.className = `status ${tone}`;
    put(place, words);
    if (tone === "status-green") byId("how-far").value = byId("how-far").max;
  } } });
}
