"use strict";
/*
 * A table of any length: only the rows that are seen, and some around them, are elements. The heights of two empty rows
 * stand for the others, and aria-rowcount and aria-rowindex tell them to a screen reader. Arrow keys, Page Up and Down,
 * Home and End move between rows, Enter opens one.
 */
const Rows = (() => {
  const { h, become, update } = Dom;
  const AROUND = 8;

  /**
   * @param {object} given
   *   label: what the table is of
   *   columns: [{title, class, sort, cell(row) -> children}]
   *   height: of a row, in pixels
   *   key(row) -> text; open(row) or nothing; rowClass(row)
   *   sorted() -> {by, down}; sort(by)
   */
  const table = (given) => {
    const { columns, height } = given;
    let rows = [];
    let active = 0;
    let shown = new Map();
    const head = h("tr", { "aria-rowindex": 1 });
    const body = h("tbody", {});
    const above = h("tr", { class: "spacer", "aria-hidden": "true" }, h("td", {}));
    const below = h("tr", { class: "spacer", "aria-hidden": "true" }, h("td", {}));
    const element = h("table", { class: "rows", "aria-label": given.label }, h("thead", {}, head), body);
    const frame = h("div", { class: "frame", role: "region", "aria-label": given.label, tabindex: given.open ? null : 0 }, element);
    body.append(above, below);

    const drawHead = () => {
      const { by, down } = given.sorted ? given.sorted() : {};
      update(
        head,
        columns.map((column) => {
          const isBy = column.sort && column.sort === by;
          const cell = h("th", {
            scope: "col",
            class: column.class,
            "aria-sort": isBy ? (down ? "descending" : "ascending") : null,
          });
          if (!column.sort) cell.append(column.title);
          else
            cell.append(
              h(
                "button",
                { type: "button", onclick: () => given.sort(column.sort) },
                column.title,
                isBy ? h("span", { class: "arrow", "aria-hidden": "true" }, down ? "↓" : "↑") : null,
              ),
            );
          return cell;
        }),
      );
    };

    let isDrawing = false;
    const draw = () => {
      isDrawing = true; // elements that take the focus over are no choice of anybody
      drawBody();
      isDrawing = false;
    };
    const drawBody = () => {
      const inner = Math.max(frame.clientHeight - head.offsetHeight, height);
      const first = Math.max(0, Math.min(Math.floor(frame.scrollTop / height) - AROUND, rows.length - 1));
      const last = Math.min(rows.length, Math.ceil((frame.scrollTop + inner) / height) + AROUND);
      const seen = Math.min(rows.length - 1, Math.floor(frame.scrollTop / height));
      const tabbed = active >= first && active < last ? active : seen;
      const hadFocus = body.contains(document.activeElement);
      const next = new Map();
      let place = above;
      const keys = rows.slice(first, last).map((row, at) => given.key(row, first + at));
      for (const [key, old] of shown) if (!keys.includes(key)) old.remove(); // first, so that those that stay need not move
      for (let index = first; index < last; index += 1) {
        const row = rows[index];
        const key = keys[index - first];
        const made = h(
          "tr",
          {
            class: given.rowClass ? given.rowClass(row) : null,
            "aria-rowindex": index + 2,
            "data-key": key,
            "data-index": index,
          },
          columns.map((column) => h("td", { class: column.class }, column.cell(row, index === tabbed))),
        );
        const old = shown.get(key);
        const kept = old ? become(old, made) : made;
        next.set(key, kept);
        if (place.nextSibling !== kept) place.after(kept);
        place = kept;
      }
      shown = next;
      above.firstChild.style.height = `${first * height}px`;
      below.firstChild.style.height = `${Math.max(0, rows.length - last) * height}px`;
      above.hidden = first === 0;
      below.hidden = last >= rows.length;
      element.setAttribute("aria-rowcount", String(rows.length + 1));
      if (hadFocus && !body.contains(document.activeElement)) focusActive();
    };

    const focusActive = () => {
      const link = body.querySelector(`tr[data-index="${active}"] a`);
      if (link) link.focus({ preventScroll: true });
    };

    const go = (index) => {
      if (!rows.length) return;
      active = Math.max(0, Math.min(rows.length - 1, index));
      const inner = frame.clientHeight - head.offsetHeight;
      if (active * height < frame.scrollTop) frame.scrollTop = active * height;
      else if ((active + 1) * height > frame.scrollTop + inner) frame.scrollTop = (active + 1) * height - inner;
      draw();
      focusActive();
    };

    body.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.floor(frame.clientHeight / height) - 1);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      if (!(event.key in steps) || !given.open || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      go(active + steps[event.key]);
    });
    body.addEventListener("focusin", (event) => {
      const row = event.target.closest("tr[data-index]");
      if (row && !isDrawing) active = Number(row.dataset.index);
    });
    if (given.open)
      body.addEventListener("click", (event) => {
        const row = event.target.closest("tr[data-index]");
        if (!row || event.target.closest("a,button") || String(getSelection())) return;
        given.open(rows[Number(row.dataset.index)]);
      });
    let waiting = false;
    const soon = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
      });
    };
    frame.addEventListener("scroll", soon, { passive: true });
    const watcher = new ResizeObserver(soon);
    watcher.observe(frame);

    return {
      element: frame,
      set(now) {
        const key = rows.length ? given.key(rows[active] ?? rows[0], active) : null;
        rows = now;
        const found = key === null ? -1 : rows.findIndex((row, index) => given.key(row, index) === key);
        active = found < 0 ? Math.max(0, Math.min(active, rows.length - 1)) : found;
        drawHead();
        draw();
      },
      draw,
      top() {
        frame.scrollTop = 0;
        active = 0;
      },
      end: () => watcher.disconnect(),
    };
  };

  return { table };
})();
