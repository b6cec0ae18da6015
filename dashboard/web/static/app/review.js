// “Review the changes”, and buttons with data-review: the form is sent as it stands and nothing is saved; what it would do
// is shown in a dialog, and what was typed, secrets included, stays in the form behind it.
import { isSignedOut, make, signInLink } from "./dom.js";

let shown;
let toSave = () => {};

function theDialog() {
  const title = make("h2", { id: "review-title", className: "h3", textContent: "Review the changes", tabIndex: -1 });
  const body = make("div", { className: "review-body" });
  const saving = make("button", { type: "button", className: "btn btn-primary" });
  const back = make("button", { type: "button", className: "btn", textContent: "Back to the form" });
  const dialog = make("dialog", { className: "review" }, title, body, make("p", { className: "d-flex gap-2 mb-0" }, saving, back));
  dialog.setAttribute("aria-labelledby", title.id);
  back.addEventListener("click", () => dialog.close());
  saving.addEventListener("click", () => { dialog.close(); toSave(); });
  document.body.append(dialog);
  return { dialog, body, title, saving };
}

async function ask(form, save) {
  const data = new FormData(form);
  data.append("change-review", "1");
  if (save.name) data.append(save.name, save.value);
  try {
    // Not form.action: that is a button where one is called so.
    return await fetch(form.getAttribute("action") || location.href, { method: "POST", body: data, headers: { "X-Requested-With": "fetch" }, redirect: "manual" });
  } catch {
    return undefined;
  }
}

// `plainly` is how the form is sent if it is wrong by itself: its page says what is to be mended.
async function review(form, button, save, plainly) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  const answer = await ask(form, save);
  button.setAttribute("aria-busy", "false");
  const said = answer?.headers.get("X-Culvert-Review");
  if (said === "no") { plainly(); return; }
  shown ??= theDialog();
  toSave = () => { save.dataset.reviewed = "yes"; form.requestSubmit(save); };
  shown.saving.textContent = save.textContent.trim();
  shown.saving.hidden = said !== "yes";
  if (said === "yes" || said === "nothing") {
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    shown.body.replaceChildren(...fresh.body.childNodes);
  } else if (answer && await isSignedOut()) {
    shown.body.replaceChildren(make("p", { className: "note" }, "Your session has ended. ", signInLink()));
  } else {
    shown.body.replaceChildren(make("p", { className: "note", textContent: "The dashboard does not answer. Nothing was saved." }));
  }
  shown.dialog.showModal();
  shown.title.focus();
}

for (const part of document.querySelectorAll("[data-change]")) {
  const form = part.closest("form");
  const button = part.querySelector("[name=change-review]");
  const save = form.querySelector("button.btn-primary:not([name=change-review])");
  let plain = false;
  button?.addEventListener("click", (event) => {
    if (plain) return;
    event.preventDefault();
    review(form, button, save, () => { plain = true; form.requestSubmit(button); });
  });
}

// What is done at once, such as removing a peer, is reviewed by the very button.
for (const button of document.querySelectorAll("button[data-review]")) {
  button.addEventListener("click", (event) => {
    if (button.dataset.reviewed === "yes") return;
    event.preventDefault();
    review(button.form, button, button, () => { button.dataset.reviewed = "yes"; button.form.requestSubmit(button); });
  });
}
