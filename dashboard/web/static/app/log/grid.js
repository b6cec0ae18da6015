// A window over very many lines: only those in sight, and the selected one, are in the document. Every line is as high as
// every other, so that where one stands is a product, whatever their number. The grid itself has the focus and names the
// selected line (aria-activedescendant); aria-rowindex and aria-rowcount say where it stands among all.
const OVERSCAN = 12, HEAD = 32;

export class Grid {
  constructor({ log, box, narrow, count, item, render, onSelect, onToggle, onOpen, onNear }) {
    Object.assign(this, { log, box, narrow, count, item, render, onSelect, onToggle, onOpen, onNear });
    this.nodes = new Map();
    this.selected = null;
    this.drawing = false;
    log.addEventListener("scroll", () => this.schedule(), { passive: true });
    narrow.addEventListener("change", () => { this.clear(); this.refresh(); });
    new ResizeObserver(() => this.schedule()).observe(log);
    log.addEventListener("click", (event) => this.clicked(event));
    log.addEventListener("keydown", (event) => this.pressed(event));
  }

  get height() { return this.narrow.matches ? 52 : 32; }

  clear() {
    this.nodes.forEach(({ row }) => row.remove());
    this.nodes.clear();
  }

  schedule() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => { this.drawing = false; this.draw(); });
  }

  // The room for all rows is there at once, so that whoever reads further down can be kept in place.
  refresh() {
    this.box.style.height = `${this.count() * this.height}px`;
    this.schedule();
  }

  // The line at the top of the view, for keeping whoever reads where he is.
  anchor(always = false) {
    const index = Math.floor(this.log.scrollTop / this.height);
    return (always || this.log.scrollTop > 40) && index < this.count() ? { key: this.item(index).key, index } : null;
  }

  // Lines were put above: the one that was at the top of the view stays there.
  keep(anchor, added) {
    if (!anchor) return;
    let index = anchor.index + added;
    if (index >= this.count() || this.item(index).key !== anchor.key) {
      for (let far = 1; far < 2_000; far += 1) {
        const found = [index - far, index + far].find((at) => at >= 0 && at < this.count() && this.item(at).key === anchor.key);
        if (found !== undefined) { index = found; break; }
      }
    }
    this.log.scrollTop += (index - anchor.index) * this.height;
  }

  scrollTo(index) {
    const top = index * this.height, room = this.log.clientHeight - HEAD - this.height;
    if (top < this.log.scrollTop) this.log.scrollTop = top;
    else if (top > this.log.scrollTop + room) this.log.scrollTop = top - room;
  }

  inSight() {
    const first = Math.max(0, Math.floor(this.log.scrollTop / this.height) - OVERSCAN);
    const end = Math.min(this.count(), Math.ceil((this.log.scrollTop + this.log.clientHeight) / this.height) + OVERSCAN);
    const found = Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
    // Whoever listens to the selected line goes on hearing it when it is scrolled out of sight.
    const chosen = this.selectedIndex();
    if (chosen >= 0 && (chosen < first || chosen >= end)) found.push(chosen);
    return found.sort((a, b) => a - b);
  }

  selectedIndex() {
    if (this.selected === null) return -1;
    const at = this.at;
    if (at !== undefined && at < this.count() && this.item(at).key === this.selected) return at;
    for (let index = 0; index < this.count(); index += 1) if (this.item(index).key === this.selected) { this.at = index; return index; }
    return -1;
  }

  node(item) {
    const version = `${item.group ? `${item.group.version}/${item.open}` : ""}`;
    let known = this.nodes.get(item.key);
    if (!known || known.version !== version || known.level !== item.level) {
      const row = known ? known.row : document.createElement("div");
      row.className = "log-row";
      row.setAttribute("role", "row");
      row.id = `row-${item.key}`;
      this.render(row, item);
      known = { row, version, level: item.level };
      this.nodes.set(item.key, known);
    }
    return known.row;
  }

  draw() {
    const items = this.inSight().map((index) => [index, this.item(index)]);
    const wanted = new Set(items.map(([, item]) => item.key));
    for (const [key, { row }] of this.nodes) if (!wanted.has(key)) { row.remove(); this.nodes.delete(key); }
    let above = null;
    for (const [index, item] of items) {
      const row = this.node(item);
      row.style.transform = `translateY(${index * this.height}px)`;
      row.setAttribute("aria-rowindex", index + 2);
      row.setAttribute("aria-selected", item.key === this.selected);
      // In the order in which they are seen, for those who hear them.
      if (!row.isConnected || row.previousElementSibling !== above) this.box.insertBefore(row, above ? above.nextSibling : this.box.firstChild);
      above = row;
    }
    if (this.selected !== null && wanted.has(this.selected)) this.log.setAttribute("aria-activedescendant", `row-${this.selected}`);
    else this.log.removeAttribute("aria-activedescendant");
    this.onNear({ bottom: this.log.scrollTop + this.log.clientHeight * 3 > this.count() * this.height, top: this.log.scrollTop < this.log.clientHeight });
  }

  select(key, index) {
    this.selected = key;
    this.at = index;
    this.schedule();
  }

  clicked(event) {
    const row = event.target.closest(".log-row");
    if (!row) return;
    const index = Number(row.getAttribute("aria-rowindex")) - 2;
    const item = this.item(index);
    this.select(item.key, index);
    if (item.group && event.target.closest(".fold-group")) this.onToggle(item);
    else this.onSelect(item);
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.count()) return;
    const at = this.selectedIndex();
    if (event.key === "Enter" && at >= 0) { this.onOpen(this.item(at)); return; }
    if ((event.key === "ArrowRight" || event.key === "ArrowLeft" || event.key === " ") && at >= 0) { this.fold(event, at); return; }
    const page = Math.max(1, Math.floor(this.log.clientHeight / this.height) - 2);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    event.preventDefault();
    this.go(at < 0 ? 0 : Math.min(this.count() - 1, Math.max(0, at + step)));
  }

  fold(event, at) {
    const item = this.item(at);
    const wanted = { ArrowRight: true, ArrowLeft: false, " ": !item.open }[event.key];
    if (item.group && item.open !== wanted) { event.preventDefault(); this.onToggle(item); return; }
    if (event.key !== "ArrowLeft" || !item.within) return;
    event.preventDefault();
    for (let index = at; index >= 0; index -= 1) if (this.item(index).group === item.within) { this.go(index); return; }
  }

  go(index) {
    const item = this.item(index);
    this.scrollTo(index);
    this.select(item.key, index);
    this.onSelect(item);
  }
}
