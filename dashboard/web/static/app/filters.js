// Filters whose form stands in the address: a live part follows them without a reload, and Back goes back.
import { byId, put } from "./dom.js";
import { refresh } from "./live-part.js";

const form = byId("filters");
const part = byId(form.dataset.part);
let timer;

async function go(query, push = true) {
  part.dataset.live = `${part.dataset.base}?${query}`;
  if (push) history.pushState(null, "", query ? `?${query}` : location.pathname);
  const fields = new URLSearchParams(query);
  for (const field of form.elements) if (field.name && field !== document.activeElement) field.value = fields.get(field.name) ?? "";
  await refresh(part);
  put(byId("announce"), part.querySelector("h2, p")?.textContent ?? "");
}

const typed = () => new URLSearchParams([...new FormData(form)].filter(([, value]) => value)).toString();
form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => go(typed()), 250); });
form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); go(typed()); });
part.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-query]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.dataset.query);
});
addEventListener("popstate", () => go(location.search.slice(1), false));
