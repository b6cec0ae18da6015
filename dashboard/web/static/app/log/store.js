// The rows that the page has: one unbroken piece of the log, oldest first, that grows at either end.
//
// `top` is the highest number that the piece reaches, `reached` the lowest; what lies between is either here or does not
// match. Live events continue at `top`: one that is not above it is here already.
export const MOST_ROWS = 200_000;
const MOST_HELD = 5_000;

export class Store {
  constructor({ fields, onChange, onRefused, onSignedOut }) {
    Object.assign(this, { fields, onChange, onRefused, onSignedOut });
    this.version = 0;
    this.paused = false;
    this.reset();
  }

  reset() {
    Object.assign(this, { rows: [], held: [], overflow: false, top: 0, reached: 0, first: 1, last: 0, more: false, newer: false, loading: false, failed: false, ready: false });
  }

  async fetchPage(where) {
    const query = this.fields();
    for (const [name, value] of Object.entries(where)) query.set(name, value);
    const answer = await fetch(`/events/rows/?${query}`);
    if (answer.redirected) { this.onSignedOut(); throw new Error("signed out"); }
    if (answer.status === 400) { this.onRefused(await answer.json()); throw new Error("refused"); }
    if (!answer.ok) throw new Error(`rows: ${answer.status}`);
    return answer.json();
  }

  // A new piece: the newest rows, or those at a time. True once it is there.
  async load(at = "") {
    const version = ++this.version;
    this.reset();
    this.loading = true;
    this.onChange("cleared");
    try {
      const page = await this.fetchPage(at ? { at } : {});
      if (version !== this.version) return false;
      Object.assign(this, { rows: page.rows.reverse(), first: page.first, last: page.last, top: page.top, reached: page.reached, more: page.more, newer: page.top < page.last, ready: true });
      return true;
    } catch {
      if (version === this.version) this.failed = true;
      return false;
    } finally {
      if (version === this.version) { this.loading = false; this.onChange("loaded"); }
    }
  }

  get full() { return this.rows.length >= MOST_ROWS; }

  async older() {
    if (this.loading || !this.more || this.full || this.failed) return;
    await this.extend({ before: this.reached }, (page) => {
      this.rows = page.rows.reverse().concat(this.rows);
      Object.assign(this, { reached: page.reached, more: page.more, first: page.first });
      this.onChange("older", page.rows);
    });
  }

  async newest() {
    if (this.loading || !this.newer || this.failed) return;
    await this.extend({ after: this.top }, (page) => {
      Object.assign(this, { top: page.reached, last: page.last, newer: page.more });
      this.onChange("newer", page.rows, () => this.rows.push(...page.rows));
    });
  }

  async extend(where, take) {
    const version = this.version;
    this.loading = true;
    try {
      const page = await this.fetchPage(where);
      if (version === this.version) { this.loading = false; take(page); }
    } catch {
      if (version === this.version) { this.failed = true; this.onChange("failed"); }
    } finally { if (version === this.version) this.loading = false; }
  }

  again() {
    this.failed = false;
    this.onChange("failed");
  }

  // A live event. Nothing is shown twice, whatever the stream repeats.
  arrive(event) {
    if (event.seq <= this.top) return;
    this.top = this.last = event.seq;
    if (!this.paused) {
      this.onChange("live", [event], () => this.rows.push(event));
      return;
    }
    if (this.held.length < MOST_HELD) this.held.push(event);
    else this.overflow = true;
    this.onChange("held");
  }

  // False if so much has come meanwhile that the page is better loaded anew.
  resume() {
    this.paused = false;
    if (this.overflow) return false;
    const held = this.held.splice(0);
    if (held.length) this.onChange("live", held, () => this.rows.push(...held));
    return true;
  }
}
