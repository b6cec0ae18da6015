// “Review the changes”: the form is sent as it stands and nothing is saved; what it would do is shown in a dialog, and
// what was typed, secrets included, stays in the form behind it.
import { isSignedOut, make, signInLink } from "./dom.js";

function dialogFor(form, save) {
  const title = make("h2", { id: "review-title", className: "h3", textContent: "Review the changes", tabIndex: -1 });
  const body = make("div", { className: "review-body" });
  const saving = make("button", { type: "button", className: "btn btn-primary", textContent: save.textContent.trim() });
  const back = make("button", { type: "button", className: "btn", textContent: "Back to the form" });
  const dialog = make("dialog", { className: "review" }, title, body, make("p", { className: "d-flex gap-2 mb-0" }, saving, back));
  dialog.setAttribute("aria-labelledby", title.id);
  back.addEventListener("click", () => dialog.close());
  saving.addEventListener("click", () => { dialog.close(); form.requestSubmit(save); });
  document.body.append(dialog);
  return { dialog, body, title, saving };
}

for (const part of document.querySelectorAll("[data-change]")) {
  const form = part.closest("form");
  const button = part.querySelector("[name=change-review]");
  const save = form.querySelector("button.btn-primary:not([name])");
  let shown;
  let plainly = false;
  button.addEventListener("click", async (event) => {
    if (plainly) return;
    event.preventDefault();
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    shown ??= dialogFor(form, save);
    const data = new FormData(form);
    data.append("change-review", "1");
    let answer;
    try {
      answer = await fetch(form.action, { method: "POST", body: data, headers: { "X-Requested-With": "fetch" }, redirect: "manual" });
    } catch { /* said below */ }
    button.setAttribute("aria-busy", "false");
    if (answer?.headers.get("X-Culvert-Review") === "no") {
      // The form itself is wrong: its page says what is to be mended.
      plainly = true;
      form.requestSubmit(button);
      return;
    }
    const isReview = answer?.headers.get("X-Culvert-Review") === "yes";
    shown.saving.hidden = !isReview;
    if (isReview) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      shown.body.replaceChildren(...fresh.body.childNodes);
    } else if (answer && await isSignedOut()) {
      shown.body.replaceChildren(make("p", { className: "note" }, "Your session has ended. ", signInLink()));
    } else {
      shown.body.replaceChildren(make("p", { className: "note", textContent: "The dashboard does not answer. Nothing was saved." }));
    }
    shown.dialog.showModal();
    shown.title.focus();
  });
}
