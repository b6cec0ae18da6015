// What a peer has carried: two graphs with one time axis, the events of that time over them, and the same as a table.
import uPlot from "../vendor/uplot.js";
import { byId, isSignedOut, make, signInLink } from "./dom.js";
import { octets } from "./words.js";
import { clock as wall, month, zone } from "./zone.js";

const EVERY_MS = { hour: 10_000, day: 60_000, week: 60_000 };
const SIGNS = { error: ["✕", "--loss"], warning: ["▲", "--out"], notice: ["●", "--good"] };
const NEAR_PX = 6;
const DAY_S = 86_400;
const part = byId("graphs");
const places = { traffic: byId("graph-traffic"), loss: byId("graph-loss") };
let plots = [];
let data = null;
let asked = 0;
let said;
let timer;

const colour = (name) => getComputedStyle(part).getPropertyValue(name).trim();
const clock = (at, seconds) => wall(at * 1000).slice(0, seconds ? 8 : 5);
const day = (at) => month(at * 1000);
const when = (at) => (data.range === "hour" ? clock(at, true) : `${day(at)} ${clock(at)}`);
const percent = (n) => (n === null || n === undefined ? "–" : `${Number(n.toPrecision(3))} %`);
const rate = (n) => (n < 1e3 ? `${Math.round(n)} bit/s` : n < 1e6 ? `${+(n / 1e3).toPrecision(3)} kbit/s` : n < 1e9 ? `${+(n / 1e6).toPrecision(3)} Mbit/s` : `${+(n / 1e9).toPrecision(3)} Gbit/s`);

// At midnight the day stands in place of the hour.
const timeLabels = (plot, splits, axis, space, step) => splits.map((at) => (step >= DAY_S || (clock(at) === "00:00" && data.range !== "hour") ? day(at) : clock(at)));

function overlay(plot) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.font = `${12 * ratio}px sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  ctx.lineWidth = ratio;
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  for (const event of data.events) {
    const [sign, name] = SIGNS[event.severity];
    const x = Math.round(plot.valToPos(event.time, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(name);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (plot.root.parentElement === places.traffic) ctx.fillText(sign, x, bbox.top - 14 * ratio);
  }
  ctx.restore();
}

// What stands under the pointer, in words.
function point(plot) {
  const { idx, left } = plot.cursor;
  if (idx === null || idx === undefined || left < 0 || !data) return byId("graph-at").replaceChildren();
  const near = data.events.filter((event) => Math.abs(plot.valToPos(event.time, "x") - left) <= NEAR_PX).slice(-3);
  const said = `${when(data.at[idx])}: in ${rate(data.in[idx])}, out ${rate(data.out[idx])}, loss ${percent(data.loss[idx])}`;
  return byId("graph-at").replaceChildren([said, ...near.map((event) => `${SIGNS[event.severity][0]} ${event.title}`)].join(" · "));
}

function options(place, series, values, range) {
  const axis = { stroke: colour("--ink"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  return {
    width: place.clientWidth, height: place.clientHeight, legend: { show: false }, padding: [16, 12, 0, 0],
    cursor: { sync: { key: "peer" }, drag: { x: false, y: false }, y: false, points: { show: false } },
    scales: { x: { time: true, range: () => [data.begin, data.end] }, y: { range } },
    axes: [{ ...axis, values: timeLabels }, { ...axis, size: 84, space: 30, values: (plot, splits) => splits.map(values) }],
    series: [{}, ...series], tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
    hooks: { draw: [overlay], setCursor: [point] },
  };
}

function draw() {
  for (const plot of plots) plot.destroy();
  plots = [];
  if (!data) return;
  const stepped = uPlot.paths.stepped({ align: 1 });
  const line = (label, name, extra) => ({ label, stroke: colour(name), width: 2, paths: stepped, points: { show: false }, ...extra });
  // A line at zero says that something was measured; where nothing was carried at all there are events alone.
  const [into, out] = data.empty ? [data.loss, data.loss] : [data.in, data.out];
  const most = Math.max(1_000, ...into, ...out);
  const worst = Math.min(100, Math.max(1, ...data.loss) * 1.1);
  const traffic = [line("in", "--in", { fill: `${colour("--in")}22` }), line("out", "--out", { dash: [6, 3] })];
  const loss = [line("loss", "--loss", { paths: uPlot.paths.bars({ size: [1, Infinity, 2], align: 1 }), fill: colour("--loss"), width: 0 })];
  plots = [
    new uPlot(options(places.traffic, traffic, rate, [0, most * 1.1]), [data.at, into, out], places.traffic),
    new uPlot(options(places.loss, loss, percent, [0, worst]), [data.at, data.loss], places.loss),
  ];
}

function row(one) {
  const mine = data.events.filter((event) => event.time >= one.at && event.time < one.until);
  const cells = [octets(one.bytes_in), octets(one.bytes_out), `${one.packets_in} / ${one.packets_out}`, `${one.dropped} (${percent(one.loss)})`,
    mine.map((event) => `${when(event.time)} ${event.title}`).join("; ") || "–"];
  return make("tr", {}, make("th", { scope: "row", className: "nowrap", textContent: `${when(one.at)} – ${clock(one.until, data.range === "hour")}` }), ...cells.map((text, index) => make("td", { className: index < 4 ? "nowrap" : "", textContent: text })));
}

// Totals grow all the time; only another state or range is worth being read aloud.
function say(state, ...parts) {
  const place = byId("graph-said");
  const now = `${state} ${part.dataset.range}`;
  place.setAttribute("aria-live", now === said ? "off" : "polite");
  said = now;
  part.dataset.state = state;
  const text = make("span", {}, ...parts);
  if (place.innerHTML !== text.innerHTML) place.replaceChildren(...text.childNodes);
}

function show() {
  byId("traffic-rows").replaceChildren(...data.rows.map(row));
  draw();
  if (data.empty) return say("empty", `Nothing has been carried in the last ${data.range}.`);
  const sum = (name) => octets(data.rows.reduce((total, one) => total + one[name], 0));
  return say("ready", `In the last ${data.range}: ${sum("bytes_in")} in, ${sum("bytes_out")} out.${data.left_out ? ` Of the events the newest ${data.events.length} are shown.` : ""}`);
}

async function load() {
  clearTimeout(timer);
  const mine = ++asked;
  const range = part.dataset.range;
  try {
    const answer = await fetch(`${part.dataset.url}?range=${range}`, { redirect: "manual" });
    if (mine !== asked) return;
    if (answer.type === "opaqueredirect" && await isSignedOut()) { say("error", "Your session has ended. ", signInLink()); return; }
    if (!answer.ok) throw new Error(answer.status);
    const found = await answer.json();
    if (mine !== asked) return;
    data = found;
    show();
  } catch {
    if (mine === asked) say("error", "The dashboard does not answer; what is drawn here may be old. It is asked again in a moment.");
  }
  if (mine === asked) timer = setTimeout(() => (document.hidden ? null : load()), EVERY_MS[range]);
}

function choose(range) {
  part.dataset.range = range;
  for (const link of part.querySelectorAll("a[data-range]")) {
    link.classList.toggle("active", link.dataset.range === range);
    if (link.dataset.range === range) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  load();
}

part.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-range]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const address = new URL(location);
  address.searchParams.set("range", link.dataset.range);
  history.replaceState(null, "", address);
  choose(link.dataset.range);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) load(); });
new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
new ResizeObserver(() => plots.forEach((plot) => { const place = plot.root.parentElement; if (plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: place.clientHeight }); })).observe(places.traffic);
load();
