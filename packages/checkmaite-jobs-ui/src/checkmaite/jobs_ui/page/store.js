"use strict";
/* The page of results: the store's tables, a query, its rows and a chart of them. */
const StorePage = (() => {
  const { h, replace, update } = Dom;

  const quoted = (name) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

  const rowsOf = (answer) => {
    const numeric = answer.columns.map((_, index) => answer.rows.length > 0 && answer.rows.every((row) => row[index] === null || typeof row[index] === "number"));
    const table = Rows.table({
      label: "Rows of the result",
      height: 34,
      key: (row, index) => String(index),
      columns: answer.columns.map((column, index) => ({
        title: column.name,
        class: numeric[index] ? "value number" : "value",
        cell: (row) => (row[index] === null ? h("span", { class: "null" }, "null") : h("span", { title: Words.cell(row[index]) }, Words.cell(row[index]))),
      })),
    });
    return table;
  };

  const answerParts = (answer) => {
    const chart = Chart.panel(answer);
    const table = rowsOf(answer);
    const said = answer.is_cut ? `The first ${Words.count(answer.rows.length, "row")}; there are more.` : Words.count(answer.rows.length, "row");
    const took = answer.took_s === undefined || Source.isReport ? "" : ` in ${Words.span(answer.took_s)}`;
    const place = h("section", { class: "card result", "aria-label": "Rows" }, h("p", { class: "found", role: "status" }, answer.is_cut ? said : `${said}${took}`), answer.rows.length ? table.element : null);
    return {
      elements: [chart ? chart.element : null, place],
      begin: () => table.set(answer.rows),
      end() {
        table.end();
        if (chart) chart.end();
      },
    };
  };

  const show = (main, parameters, navigate) => {
    let shown = null;
    let isOver = false;
    let turn = 0;
    const tables = h("div", { class: "tables" });
    const result = h("div", { class: "answer" });
    const display = (answer) => {
      if (shown) shown.end();
      shown = answerParts(answer);
      replace(result, shown.elements);
      shown.begin();
    };
    const complain = (error) => {
      if (shown) shown.end();
      shown = null;
      replace(result, h("p", { class: "note bad", role: "alert" }, error.message));
    };

    const box = h("textarea", { id: "sql", rows: 4, spellcheck: "false", autocomplete: "off", "aria-describedby": "sqlhelp" });
    box.value = parameters.get("sql") || "";
    const run = h("button", { type: "button", class: "button", onclick: () => query() }, "Run");
    const query = async () => {
      const sql = box.value.trim();
      if (!sql) return;
      turn += 1;
      const mine = turn;
      navigate(`#/store?${new URLSearchParams({ sql })}`, true);
      run.setAttribute("aria-disabled", "true");
      run.textContent = "Runs …";
      try {
        const answer = await Source.query(sql);
        if (!isOver && mine === turn) display(answer);
      } catch (error) {
        if (!isOver && mine === turn) complain(error);
      } finally {
        if (mine === turn) {
          run.removeAttribute("aria-disabled");
          run.textContent = "Run";
        }
      }
    };
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        query();
      }
    });

    /** A run's rows: the table that it wrote to is in the table of runs. */
    const rowsOfRun = async (run) => {
      const text = `'${run.replaceAll("'", "''")}'`;
      let table = "runs";
      try {
        const found = await Source.query(`select distinct capability_table from runs where run_uid = ${text} and capability_table is not null order by 1`);
        if (found.rows.length) table = quoted(found.rows[0][0]);
      } catch {
        // The query below says what is wrong.
      }
      box.value = `select *\nfrom ${table}\nwhere run_uid = ${text}`;
      query();
    };

    const preview = async (name) => {
      turn += 1;
      const mine = turn;
      try {
        const answer = await Source.preview(name);
        if (isOver || mine !== turn) return;
        if (!Source.isReport) box.value = `select *\nfrom ${quoted(name)}\nlimit 100`;
        display(answer);
      } catch (error) {
        if (!isOver && mine === turn) complain(error);
      }
    };

    const asks = Source.isReport
      ? (Source.answers || []).length
        ? h("section", { class: "card", "aria-label": "Queries" }, h("h2", {}, "Queries"), h("ul", { class: "queries" }, Source.answers.map((answer, index) => h("li", {}, h("button", { type: "button", class: "query", onclick: () => display(answer) }, h("code", {}, answer.sql.trim()))))))
        : null
      : h(
          "section",
          { class: "card ask", "aria-label": "Ask by SQL" },
          h("label", { for: "sql" }, h("h2", {}, "Ask by SQL")),
          box,
          h("div", { class: "askline" }, run, h("p", { class: "help", id: "sqlhelp" }, "One SELECT over the tables. It can read them and nothing else, and write nothing. Ctrl+Enter runs it; Tab leaves the box.")),
        );
    replace(main, h("h1", {}, "Results"), h("div", { class: "shelf" }, tables, h("div", { class: "work" }, asks, result)));

    (async () => {
      try {
        const found = await Source.tables();
        if (isOver) return;
        replace(
          tables,
          h("h2", {}, "Tables"),
          found.tables.length
            ? h(
                "ul",
                {},
                found.tables.map((table) =>
                  h(
                    "li",
                    {},
                    h("button", { type: "button", class: "table", onclick: () => preview(table.name) }, h("strong", {}, table.name), h("span", {}, `${Words.count(table.rows, "row")} of ${Words.count(table.runs, "run")}`)),
                    h("details", {}, h("summary", {}, Words.count(table.columns.length, "column")), h("ul", { class: "columns" }, table.columns.map((column) => h("li", {}, h("code", {}, column.name), h("span", {}, column.type))))),
                  ),
                ),
              )
            : h("p", { class: "help" }, "No results are stored yet."),
        );
        if (parameters.get("run") && Source.query) rowsOfRun(parameters.get("run"));
        else if (parameters.get("sql") && Source.query) query();
        else if (Source.isReport && (Source.answers || []).length) display(Source.answers[0]);
        else {
          const first = found.tables.find((table) => table.name !== "runs") || found.tables[0];
          if (first) preview(first.name);
        }
      } catch (error) {
        if (!isOver) replace(tables, h("h2", {}, "Tables"), h("p", { class: "note bad" }, error.message));
      }
    })();
    return {
      title: "Results",
      end() {
        isOver = true;
        if (shown) shown.end();
      },
    };
  };

  return { show };
})();
