// Times in the time zone of the page, which is the site's or the organization's; never in the one of the browser.
export const zone = document.body.dataset.zone || "UTC";
const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const reader = new Intl.DateTimeFormat("en-CA", { timeZone: zone, ...PARTS });
const named = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "short" });

function parts(ms) {
  return Object.fromEntries(reader.formatToParts(ms).map(({ type, value }) => [type, value]));
}

// “2026-03-29 14:05:06” and “14:05:06” of milliseconds since 1970.
export function stamp(ms) {
  const p = parts(ms);
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}`;
}
export const clock = (ms) => stamp(ms).slice(11);
export const zoneName = (ms) => named.formatToParts(ms).find(({ type }) => type === "timeZoneName").value;

// UTC, for the title of a time.
export const inUtc = (ms) => `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;

export const month = (ms) => new Date(ms).toLocaleDateString(undefined, { timeZone: zone, day: "numeric", month: "short" });

// What a field for date and time holds, from an ISO text; and the other way, as UTC.
export function toField(text) {
  const at = Date.parse(text);
  return Number.isNaN(at) ? "" : stamp(at).replace(" ", "T");
}

export function fromField(text) {
  if (!text) return "";
  const wanted = Date.parse(`${text}Z`);
  if (Number.isNaN(wanted)) return "";
  const away = (ms) => Date.parse(`${stamp(ms).replace(" ", "T")}Z`) - ms;
  // The distance to UTC is that of the moment itself, which is known only with it: the second round is exact.
  const at = wanted - away(wanted - away(wanted));
  return new Date(at).toISOString().replace(".000", "");
}
