// What is too large is said before it is sent, so that it does not go a long way for nothing, and stays where it is.
import { byId, make } from "./dom.js";

const form = byId("import-form");
const limit = Number(form.dataset.limit);

form.addEventListener("submit", (event) => {
  const { length } = form.elements.text.value;
  if (length <= limit) return;
  event.preventDefault();
  byId("import-problem").replaceChildren(make("div", {
    className: "field-error",
    textContent: `This has ${length} characters, and at most ${limit} are read. Paste only the part that is about this tunnel.`,
  }));
});
