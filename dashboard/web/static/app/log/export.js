// The whole filtered set as a file: the browser saves it as it comes, and a second stream says how far it is.
import { byId, make } from "../dom.js";
import { octets } from "../words.js";

let progress = null, current = null;

const number = (n) => n.toLocaleString();

function say(text, percent = null) {
  byId("exporting").hidden = false;
  byId("export-said").textContent = text;
  if (percent === null) byId("export-bar").removeAttribute("value");
  else byId("export-bar").value = percent;
}

function end(text, percent = 100) {
  progress?.close();
  progress = current = null;
  byId("export-off").textContent = "Close";
  say(text, percent);
}

const WORDS = {
  waiting: () => say("The export is beginning…"),
  running: (p) => say(`${number(p.rows)} events, ${octets(p.octets)}, ${p.percent} % of the log looked through`, p.percent),
  done: (p) => end(`The export is complete: ${number(p.rows)} events, ${octets(p.octets)}.`),
  broken: (p) => end(`The export was broken off after ${number(p.rows)} events. The file is not complete.`, p.percent),
  unknown: () => end("The export has not begun. Try again.", 0),
};

export async function begin(fields, format) {
  await stop();
  const id = crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random().toString(16).slice(2)}`;
  fields.set("format", format);
  fields.set("id", id);
  byId("export-off").textContent = "Stop";
  say("The export is beginning…");
  const link = make("a", { href: `/live/export?${fields}`, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
  current = id;
  progress = new EventSource(`/live/export/progress?id=${id}`);
  progress.addEventListener("progress", (event) => { const said = JSON.parse(event.data); WORDS[said.state](said); });
  progress.onerror = () => { if (progress?.readyState === EventSource.CLOSED) end("The dashboard does not answer. The file is not complete.", 0); };
}

// What is under way is broken off; the browser then says that the file has failed.
export async function stop() {
  progress?.close();
  progress = null;
  byId("exporting").hidden = true;
  const id = current;
  current = null;
  if (id) await fetch(`/live/export/stop?id=${id}`, { method: "POST" }).catch(() => {});
}
