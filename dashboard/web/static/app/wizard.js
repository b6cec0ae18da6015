// The five questions: subnets checked as they are typed, and a button to copy the secret that is shown once.
import { byId, copyButton, make } from "./dom.js";
import { checkAsTyped } from "./subnets.js";

const form = byId("wizard-form");
const once = byId("once");
if (once) byId("once-copy").append(copyButton("Copy", () => once.value));

if (form?.dataset.step === "subnets") {
  const subnets = form.elements.remote_subnets;
  const errors = byId("id_remote_subnets_error") ?? subnets.parentElement.appendChild(make("div", { id: "id_remote_subnets_error" }));
  errors.setAttribute("aria-live", "polite");
  checkAsTyped(subnets, errors, { address: form.dataset.check, token: form.elements.csrfmiddlewaretoken.value, fields: {} });
}

for (const button of document.querySelectorAll("[data-confirm]")) {
  button.addEventListener("click", (event) => { if (!confirm(button.dataset.confirm)) event.preventDefault(); });
}
