// The countdown of a revision on trial. Whether it is kept is decided on the server; a page that is cut off changes nothing.
import { byId, make, put } from "./dom.js";

const banner = document.querySelector(".confirm");
const POLL_MS = 1000;

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
}

async function gone() {
  try {
    const answer = await fetch("/configuration/pending/", { redirect: "manual" });
    if (!answer.ok) return false;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    return fresh.querySelector(".confirm")?.dataset.number !== banner.dataset.number;
  } catch {
    return false;
  }
}

if (banner) {
  const ahead = Date.parse(banner.dataset.now) - Date.now();
  const until = Date.parse(banner.dataset.until);
  const left = banner.querySelector(".confirm-left");
  const tick = async () => {
    const seconds = Math.ceil((until - Date.now() - ahead) / 1000);
    put(left, seconds > 0 ? clock(seconds) : "It is going back…");
    if (seconds <= 0 && await gone()) {
      const link = make("a", { href: "/configuration/", textContent: "Configuration" });
      banner.replaceChildren(make("p", { className: "mb-0" }, `Revision ${banner.dataset.number} is not on trial any more. Load the page again, or see `, link, "."));
      banner.setAttribute("role", "status");
      return;
    }
    setTimeout(tick, POLL_MS);
  };
  tick();
  banner.querySelector("form")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const address = event.submitter?.hasAttribute("formaction") ? event.submitter.formAction : event.target.action;
    try {
      const answer = await fetch(address, { method: "POST", body: new FormData(event.target), redirect: "manual" });
      if (answer.type !== "opaqueredirect") throw new Error(String(answer.status));
      location.assign(event.target.elements.next.value);
    } catch {
      const problem = byId("confirm-problem");
      problem.hidden = false;
      put(problem, "The dashboard does not answer. Unless it is kept in time, the change goes back by itself.");
    }
  });
}
