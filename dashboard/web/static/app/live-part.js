// Parts of a page that come again by themselves. The server draws them; only what has changed is touched, so that
// nothing jumps or flashes, and focus, selections and folds stay. `data-live` is a part's address; it is asked every
// `data-every` milliseconds, or when the `data-signature` of the part that `data-follow` names has changed.
import { Idiomorph } from "../vendor/idiomorph.js";
import { byId, isSignedOut } from "./dom.js";
import { showState } from "./live.js";

const connection = byId("connection");
const CONTROLS = new Set(["INPUT", "SELECT", "TEXTAREA"]);
const callbacks = {
  // What somebody has unfolded, ticked or typed is theirs.
  beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
  beforeNodeMorphed: (node, next) => !(CONTROLS.has(node.tagName) && node.id && node.id === next.id) && !node.dataset?.kept,
};

const say = (state) => { if (connection && connection.dataset.state !== state) { connection.dataset.state = state; showState(connection, state); } };

export async function refresh(part) {
  let answer;
  try {
    answer = await fetch(part.dataset.live, { redirect: "manual", headers: { "X-Requested-With": "fetch" } });
  } catch {
    return say("reconnecting");
  }
  if (answer.type === "opaqueredirect") return say(await isSignedOut() ? "ended" : "reconnecting");
  if (!answer.ok) return say("reconnecting");
  const text = await answer.text();
  if (part.dataset.live && part.isConnected) {
    Idiomorph.morph(part, text, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks });
    part.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
  }
  return say("live");
}

const signature = (element) => element?.querySelector("[data-signature]")?.dataset.signature;

function watch(part) {
  const { every, follow } = part.dataset;
  let seen = follow ? signature(byId(follow)) : null;
  if (follow) byId(follow).addEventListener("refreshed", () => {
    const now = signature(byId(follow));
    if (now === seen) return;
    seen = now;
    refresh(part);
  });
  const step = async () => {
    if (!document.hidden) await refresh(part);
    if (connection?.dataset.state !== "ended") setTimeout(step, Number(every));
  };
  if (every) setTimeout(step, Number(every));
}
for (const part of document.querySelectorAll("[data-live]")) watch(part);
say("live"); // the server has just drawn it
document.addEventListener("visibilitychange", () => { if (!document.hidden) for (const part of document.querySelectorAll("[data-live][data-every]")) refresh(part); });
