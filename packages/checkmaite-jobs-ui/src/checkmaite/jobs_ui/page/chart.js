"use strict";
/* A chart of a query's rows, drawn by uPlot: one column across, one up, and one that tells lines apart. */
const Chart = (() => {
  const { h, replace } = Dom;
  const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
  const MOST_LINES = COLOURS.length;
  const NUMBERS = /^(u?int|float|double|halffloat|decimal)/;
  const TIMES = /^(timestamp|date)/;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const kinds = (answer) =>
    answer.columns.map((column, index) => {
      const values = answer.rows.map((row) => row[index]).filter((value) => value !== null);
      const isTime = TIMES.test(column.type);
      const isNumber = NUMBERS.test(column.type) && values.every((value) => Number.isFinite(Number(value)));
      return { name: column.name, index, isTime, isNumber, distinct: new Set(values.map(String)).size };
    });

  /** Which columns make a sensible first chart; null where none is. */
  const guess = (answer) => {
    const all = kinds(answer);
    const numbers = all.filter((each) => each.isNumber);
    if (!numbers.length || answer.rows.length < 2) return null;
    const up = numbers[numbers.length - 1];
    const few = all.filter((each) => !/uid$|^job_id$/i.test(each.name) && each !== up && !each.isNumber && !each.isTime && each.distinct > 1 && each.distinct <= MOST_LINES);
    const across =
      all.find((each) => each.isTime && each.distinct > 1) ||
      numbers.find((each) => each !== up && each.distinct > 1) ||
      all.find((each) => each !== up && each.distinct > 1 && each.distinct <= 60);
    if (!across) return null;
    const by = few.find((each) => each !== across) || null;
    return { across: across.index, up: up.index, by: by ? by.index : -1, form: across.isNumber || across.isTime ? "line" : "bars" };
  };

  /** Values by group, at the same places; several rows of one place and group give their mean. */
  const gather = (answer, chosen) => {
    const across = kinds(answer)[chosen.across];
    const isOrdered = across.isNumber || across.isTime;
    const placeOf = (value) => (across.isTime ? Date.parse(value) / 1000 : across.isNumber ? Number(value) : String(value));
    const rows = answer.rows.filter((row) => row[chosen.across] !== null && row[chosen.up] !== null);
    const places = [...new Set(rows.map((row) => placeOf(row[chosen.across])))];
    if (isOrdered) places.sort((a, b) => a - b);
    const index = new Map(places.map((place, at) => [place, at]));
    const groups = new Map();
    let hasMeans = false;
    for (const row of rows) {
      const name = chosen.by < 0 ? answer.columns[chosen.up].name : Words.cell(row[chosen.by]);
      if (!groups.has(name)) groups.set(name, places.map(() => []));
      const cell = groups.get(name)[index.get(placeOf(row[chosen.across]))];
      cell.push(Number(row[chosen.up]));
      hasMeans ||= cell.length > 1;
    }
    const names = [...groups.keys()];
    const mean = (cell) => (cell.length ? cell.reduce((a, b) => a + b, 0) / cell.length : null);
    const lines = names.slice(0, MOST_LINES).map((name) => groups.get(name).map(mean));
    return { places, isOrdered, isTime: across.isTime, names: names.slice(0, MOST_LINES), lines, hasMeans, left: names.length - lines.length };
  };

  const draw = (place, data, title, form, height = 300) => {
    const colours = (data.colours || COLOURS).map(style);
    const isCounted = data.isOrdered && !data.isTime && data.places.length <= 20 && data.places.every(Number.isInteger);
    const width = Math.max(260, place.clientWidth);
    const ink = style("--muted");
    const grid = { stroke: style("--line"), width: 1 };
    const xs = data.isOrdered ? data.places : data.places.map((_, at) => at);
    const step = Math.ceil(xs.length / Math.max(1, Math.floor(width / 90)));
    const font = `12px ${style("--font")}`;
    const bars = (at) => {
      // Bars of one place stand beside each other.
      const share = 0.8 / data.lines.length;
      return uPlot.paths.bars({ size: [share, 60], align: 0, disp: { x0: { unit: 1, values: () => xs.map((x) => x - 0.4 + share * at) }, size: { unit: 1, values: () => xs.map(() => share * 0.92) } } });
    };
    const isBars = form === "bars";
    const spread = xs.length > 1 ? (xs[xs.length - 1] - xs[0]) * 0.03 : 1;
    const plot = new uPlot(
      {
        width,
        height,
        cursor: { drag: { x: false, y: false } },
        legend: { show: false },
        scales: {
          x: { time: data.isTime, range: isBars || !data.isOrdered ? [xs[0] - 0.6, xs[xs.length - 1] + 0.6] : [xs[0] - spread, xs[xs.length - 1] + spread] },
          y: { range: (_, low, high) => (isBars ? uPlot.rangeNum(Math.min(0, low), Math.max(0, high), 0.1, true) : uPlot.rangeNum(low, high, 0.1, true)) },
        },
        axes: [
          {
            stroke: ink,
            grid: { show: false },
            ticks: grid,
            font,
            ...(isCounted ? { splits: () => data.places } : {}),
            ...(data.isOrdered ? {} : { splits: () => xs.filter((_, at) => at % step === 0), values: (_, splits) => splits.map((at) => { const text = Words.cell(data.places[at] ?? ""); return text.length > 16 ? `${text.slice(0, 15)}…` : text; }) }),
          },
          { stroke: ink, grid, ticks: grid, font, size: 64, values: (_, splits) => splits.map((value) => Words.cell(value)) },
        ],
        series: [
          {},
          ...data.lines.map((_, at) => ({
            label: data.names[at],
            stroke: colours[at],
            fill: isBars ? colours[at] : undefined,
            width: isBars ? 0 : 2,
            spanGaps: true,
            paths: isBars ? bars(at) : form === "points" ? () => null : undefined,
            points: { show: !isBars, size: form === "points" ? 7 : 6, fill: colours[at] },
          })),
        ],
      },
      [xs, ...data.lines],
      place,
    );
    plot.root.setAttribute("role", "img");
    plot.root.setAttribute("aria-label", title);
    return plot;
  };

  const key = (names, kinds) => (names.length < 2 ? null : h("ul", { class: "key" }, names.map((name, at) => h("li", {}, h("span", { class: `swatch ${kinds ? kinds[at] : `s${at + 1}`}`, "aria-hidden": "true" }), name))));

  /** The chart with what chooses its columns. */
  const panel = (answer) => {
    const first = guess(answer);
    if (!first) return null;
    const chosen = { ...first };
    const all = kinds(answer);
    const place = h("div", { class: "plot" });
    const about = h("div", {});
    let plot = null;
    const redraw = () => {
      if (!place.isConnected) return;
      if (plot) plot.destroy();
      const data = gather(answer, chosen);
      const up = answer.columns[chosen.up].name;
      const across = answer.columns[chosen.across].name;
      const by = chosen.by < 0 ? "" : `, for each ${answer.columns[chosen.by].name}`;
      const title = `${up} by ${across}${by}`;
      const notes = [data.hasMeans ? "Where several rows fall on one place, their mean is shown." : "", data.left > 0 ? `${data.left} more are left out.` : ""];
      replace(about, h("h3", {}, title), key(data.names), h("p", { class: "help" }, notes.filter(Boolean).join(" ")));
      const form = chosen.form === "bars" && data.isOrdered ? "bars" : chosen.form;
      const shownAs = form === "bars" && data.isOrdered ? { ...data, isOrdered: false, isTime: false, places: data.isTime ? data.places.map((s) => new Date(1000 * s).toISOString().slice(0, 16)) : data.places } : data;
      plot = draw(place, shownAs, `Chart: ${title}. The table below has its numbers.`, form);
    };
    const select = (label, name, options) => {
      const made = h("select", { onchange: () => { chosen[name] = name === "form" ? made.value : Number(made.value); redraw(); } }, options.map(([value, word]) => h("option", { value }, word)));
      made.value = String(chosen[name]);
      return h("label", { class: "field" }, h("span", {}, label), made);
    };
    const numbers = all.filter((each) => each.isNumber).map((each) => [each.index, each.name]);
    const any = all.map((each) => [each.index, each.name]);
    const element = h(
      "section",
      { class: "card chart", "aria-label": "Chart" },
      about,
      place,
      h(
        "div",
        { class: "choices" },
        select("Up", "up", numbers),
        select("Across", "across", any),
        select("A line for each", "by", [[-1, "nothing"], ...any]),
        select("Drawn as", "form", [["line", "lines"], ["bars", "bars"], ["points", "points"]]),
      ),
    );
    const watcher = new ResizeObserver(() => redraw());
    watcher.observe(place);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", redraw);
    return { element, end: () => { watcher.disconnect(); dark.removeEventListener("change", redraw); } };
  };

  return { panel, draw, key, guess, gather };
})();
