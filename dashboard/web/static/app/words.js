// Figures and states in words.
export const age = (seconds) => {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  return s < 3600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
};

export const ago = (time) => {
  const s = Math.max(0, Date.now() / 1000 - time);
  if (s < 5) return "just now";
  if (s < 90) return `${Math.round(s)} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  return s < 172800 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} days ago`;
};

export const octets = (n) => (n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(2)} GB`);

export const SIDES = { local: "This side has something to mend.", peer: "The peer has something to mend.", path: "The trouble is on the path between the two.",
  unknown: "It cannot be told from here which side is wrong." };

// What a peer's tunnel is doing: [tone, words].
export function verdict(peer) {
  const live = peer.sas.filter((sa) => sa.state === "mature").length;
  if (live) return ["status-green", `● up, ${live} SA ${live === 1 ? "pair" : "pairs"}`];
  if (peer.last_failure && peer.phase1.state !== "established") return ["status-red", peer.phase1.state === "negotiating" ? "✕ down, trying again" : "✕ down"];
  if (peer.phase1.state === "negotiating") return ["status-yellow", "◌ negotiating phase 1"];
  if (peer.last_failure) return ["status-red", "✕ phase 2 failed"];
  if (peer.phase1.state === "established") return ["status-yellow", "◐ phase 1 only"];
  return ["", { traffic: "○ waits for traffic", responder: "○ waits for the peer", immediate: "○ down" }[peer.start]];
}
