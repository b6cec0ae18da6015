// A stream of server-sent events that comes back by itself, from the last event that it has seen.
import { isSignedOut, signInLink } from "./dom.js";

const RETRY_MS = 1500;

export class Stream {
  constructor(address, { kinds, onState, lastId = null }) {
    Object.assign(this, { address, kinds, onState, lastId });
    this.open();
  }

  open() {
    const url = new URL(this.address, location.href);
    if (this.lastId !== null) url.searchParams.set("after", this.lastId);
    this.source = new EventSource(url);
    this.source.onopen = () => this.onState("live");
    this.source.onerror = () => this.again();
    this.source.addEventListener("again", () => this.again(0));
    for (const [kind, handle] of Object.entries(this.kinds)) {
      this.source.addEventListener(kind, (event) => {
        if (event.lastEventId) this.lastId = event.lastEventId;
        handle(JSON.parse(event.data));
      });
    }
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.source.close();
  }

  // The browser gives up after an HTTP error, such as a restarting server's: so the way back is our own.
  again(delay = RETRY_MS) {
    this.source.close();
    this.onState("reconnecting");
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      const ended = delay && await isSignedOut();
      if (this.closed) return;
      if (ended) this.onState("ended");
      else this.open();
    }, delay);
  }
}

const WORDS = { live: ["status-green", "● live"], reconnecting: ["status-yellow", "◌ reconnecting…"], paused: ["", "❚❚ paused"],
  ended: ["status-red", "✕ session ended"], past: ["", "◷ in the past"], failed: ["status-red", "✕ not loaded"] };

export function showState(element, state) {
  element.className = `status ${WORDS[state][0]}`;
  element.textContent = WORDS[state][1];
  if (state === "ended") element.append(" · ", signInLink());
}
