// The log as a list of entries: each event for itself, or the events of one negotiation together, where its newest stands.
const RANK = { error: 4, warning: 3, notice: 2, info: 1, debug: 0 };

export class Groups {
  constructor() { this.clear(); this.grouped = false; this.open = new Set(); }

  clear() { this.order = []; this.map = new Map(); this.flat = null; }

  rebuild(rows, grouped) {
    this.grouped = grouped;
    this.clear();
    if (grouped) this.newer(rows);
  }

  newer(events) {
    if (!this.grouped) return;
    for (const event of events) {
      const group = this.map.get(event.negotiation);
      if (!event.negotiation || !group) { this.order.push(this.entry(event)); continue; }
      this.put(group, event, true);
      this.order.splice(this.order.lastIndexOf(group), 1);
      this.order.push(group);
    }
    this.flat = null;
  }

  // Events below all that are here, oldest first.
  older(events) {
    if (!this.grouped) return;
    const made = [];
    for (const event of [...events].reverse()) {
      const group = event.negotiation && this.map.get(event.negotiation);
      if (group) this.put(group, event, false);
      else made.push(this.entry(event));
    }
    this.order = made.reverse().concat(this.order);
    this.flat = null;
  }

  entry(event) {
    const entry = { key: event.negotiation || event.seq, events: [event], worst: event.severity, version: 0 };
    if (event.negotiation) this.map.set(event.negotiation, entry);
    return entry;
  }

  put(group, event, newest) {
    if (newest) group.events.push(event); else group.events.unshift(event);
    if (RANK[event.severity] > RANK[group.worst]) group.worst = event.severity;
    group.version += 1;
  }

  toggle(key, open = !this.open.has(key)) {
    if (open) this.open.add(key); else this.open.delete(key);
    const group = this.map.get(key);
    if (group) group.version += 1;
    this.flat = null;
  }

  // Newest first: what stands in each line.
  items() {
    if (this.flat) return this.flat;
    const flat = [];
    for (let at = this.order.length - 1; at >= 0; at -= 1) {
      const group = this.order[at];
      const newest = group.events[group.events.length - 1];
      if (group.events.length === 1) { flat.push({ key: newest.seq, event: newest, level: 1 }); continue; }
      flat.push({ key: `n-${group.key}`, group, event: newest, level: 1, open: this.open.has(group.key) });
      if (this.open.has(group.key)) for (let i = group.events.length - 1; i >= 0; i -= 1) flat.push({ key: group.events[i].seq, event: group.events[i], level: 2, within: group });
    }
    this.flat = flat;
    return flat;
  }
}
