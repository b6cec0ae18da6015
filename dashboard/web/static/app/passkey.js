// Passkeys: the browser makes or uses one, and the form carries the answer to the server.
import { byId } from "./dom.js";

const form = byId("passkey-form");
const problem = byId("passkey-problem");

function say(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

async function options() {
  if (form.dataset.options) return JSON.parse(form.dataset.options).publicKey;
  const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(answer.status === 429 ? "That was too often. Wait a minute." : "The dashboard does not answer.");
  return (await answer.json()).request_options.publicKey;
}

async function credential() {
  if (form.dataset.passkey === "get") return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(await options()) });
  const wanted = await options();
  if (form.elements.passwordless?.checked) {
    Object.assign(wanted.authenticatorSelection, { residentKey: "required", requireResidentKey: true, userVerification: "required" });
  }
  return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(wanted) });
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  say("");
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
    say("This browser offers no passkeys here: they need HTTPS, or localhost, and a recent browser.");
    return;
  }
  try {
    form.elements.credential.value = JSON.stringify((await credential()).toJSON());
    form.submit();
  } catch (error) {
    say(error.name === "NotAllowedError" ? "The passkey was not used: it was cancelled, or it took too long." : error.message);
  }
});
