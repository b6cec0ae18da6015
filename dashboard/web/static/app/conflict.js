// Two administrators, one peer: all at once for one side or the other. What is chosen is put together on the server.
import { byId } from "./dom.js";

const all = byId("conflict-all");
if (all) {
  all.hidden = false;
  for (const button of all.querySelectorAll("[data-take]")) {
    button.addEventListener("click", () => {
      for (const input of document.querySelectorAll(`.conflict input[value="${button.dataset.take}"]`)) input.checked = true;
    });
  }
}
byId("h-conflict")?.focus();
