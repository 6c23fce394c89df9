"use strict";
/* The page of all jobs: how many are in each state, filters, and the table. */
const JobsPage = (() => {
  const { h, replace, update } = Dom;
  const GROUPS = [
    { name: "all", word: "All", has: () => true },
    { name: "waiting", word: "Waiting", has: (job) => Words.STATES[job.status].kind === "waiting" },
    { name: "running", word: "Running", has: (job) => job.status === "RUNNING" },
    { name: "completed", word: "Completed", has: (job) => job.status === "COMPLETED" },
    { name: "failed", word: "Failed", has: (job) => job.status === "FAILED" },
    { name: "cancelled", word: "Cancelled", has: (job) => job.status === "CANCELLED" },
  ];
  const ORDERS = {
    name: (job) => job.job_name.toLowerCase(),
    status: (job) => Object.keys(Words.STATES).indexOf(job.status),
    submitted: (job) => job.submitted_at || "",
    ran: (job, now) => Words.ran(job, now) ?? -1,
    node: (job) => job.node || "",
  };

  const badge = (status) => {
    const { word, sign, kind } = Words.STATES[status];
    return h("span", { class: `badge ${kind}` }, h("span", { "aria-hidden": "true" }, sign), word);
  };

  const bar = (fraction, label) =>
    h(
      "span",
      {
        class: "bar",
        role: "progressbar",
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": Math.round(fraction * 100),
        "aria-label": label,
      },
      h("span", { width: `${fraction * 100}%` }),
    );

  const known = (job, now) => {
    const text = Words.outcome(job, now);
    if (job.status !== "RUNNING" || job.progress === undefined) return h("span", { class: "told", title: text }, text);
    const done = `${Math.floor(job.progress * 100)} %`;
    return h("span", { class: "told far" }, bar(job.progress, `Progress of ${job.job_name}`), h("span", {}, `${done} · ${text}`));
  };

  /** All that a search looks through; kept as long as the job is as it is. */
  const texts = new WeakMap();
  const textOf = (job) => {
    if (!texts.has(job)) {
      const parts = [job.job_name, job.job_id, job.capability_id, job.node, job.submitted_by, job.error_type];
      parts.push(...Object.entries(job.tags || {}).map(([name, value]) => `${name}=${value}`));
      parts.push(job.error_message, job.run_uid, job.reuse, Words.STATES[job.status].word);
      texts.set(job, parts.filter(Boolean).join(" ").toLowerCase());
    }
    return texts.get(job);
  };

  const show = (main, parameters, navigate) => {
    const chosen = {
      status: parameters.get("status") || "all",
      q: parameters.get("q") || "",
      capability: parameters.get("capability") || "",
      result: parameters.get("result") || "",
      sort: parameters.get("sort") || "-submitted",
    };
    const down = () => chosen.sort.startsWith("-");
    const by = () => chosen.sort.replace(/^-/, "");
    const keep = () => {
      const plain = { status: "all", q: "", capability: "", result: "", sort: "-submitted" };
      const said = Object.entries(chosen).filter(([name, value]) => value !== plain[name]);
      navigate(`#/jobs${said.length ? `?${new URLSearchParams(said)}` : ""}`, true);
    };
    const choose = (change) => {
      Object.assign(chosen, change);
      keep();
      table.top();
      refresh();
    };

    const groups = h("div", { class: "groups", role: "group", "aria-label": "Jobs by state" });
    const buttons = GROUPS.map((group) =>
      h(
        "button",
        { type: "button", class: `group ${group.name}`, onclick: () => choose({ status: group.name }) },
        h("span", { class: "number" }, "0"),
        h("span", { class: "word" }, group.word),
      ),
    );
    groups.append(...buttons);
    const share = h("div", { class: "share", "aria-hidden": "true" });
    const search = h("input", {
      type: "search",
      id: "search",
      placeholder: "Name, capability, node, error …",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => choose({ q: search.value }),
    });
    search.value = chosen.q;
    const select = (name, label, options) => {
      const made = h("select", { id: name, onchange: () => choose({ [name]: made.value }) });
      const set = (all) => {
        const value = chosen[name];
        update(made, all.map(([key, word]) => h("option", { value: key }, word)));
        made.value = value;
      };
      set(options);
      return { set, field: h("label", { class: "field" }, h("span", {}, label), made) };
    };
    const capability = select("capability", "Capability", [["", "All"]]);
    const result = select("result", "Result", [
      ["", "Any"],
      ["RUN", "New result"],
      ["REUSED", "Used again"],
      ["STALE", "Made anew: something differed"],
    ]);
    const found = h("p", { class: "found", "aria-live": "polite" });
    const clear = h(
      "button",
      {
        type: "button",
        class: "quiet",
        onclick: () => {
          search.value = "";
          choose({ status: "all", q: "", capability: "", result: "" });
          search.focus();
        },
      },
      "Show all",
    );
    const empty = h("div", { class: "empty" });
    const table = Rows.table({
      label: "Jobs",
      height: 56,
      key: (job) => job.job_id,
      open: (job) => navigate(`#/jobs/${encodeURIComponent(job.job_id)}`),
      rowClass: (job) => Words.STATES[job.status].kind,
      sorted: () => ({ by: by(), down: down() }),
      sort: (name) => choose({ sort: by() === name && !down() ? `-${name}` : by() === name ? name : `-${name}` }),
      columns: [
        {
          title: "Job",
          class: "name",
          sort: "name",
          cell: (job, isActive) => [
            h(
              "a",
              { href: `#/jobs/${encodeURIComponent(job.job_id)}`, tabindex: isActive ? 0 : -1, title: job.job_name },
              job.job_name,
            ),
            h("span", { class: "second" }, job.capability_id),
          ],
        },
        { title: "State", class: "status", sort: "status", cell: (job) => badge(job.status) },
        { title: "What is known", class: "known", cell: (job) => known(job, Source.now()) },
        {
          title: "Submitted",
          class: "age number",
          sort: "submitted",
          cell: (job) =>
            job.submitted_at &&
            h(
              "time",
              { datetime: job.submitted_at, title: Words.instant(job.submitted_at) },
              Words.age(Words.seconds(job.submitted_at, Source.now())),
            ),
        },
        { title: "Ran for", class: "ran number", sort: "ran", cell: (job) => Words.span(Words.ran(job, Source.now())) },
        { title: "Node", class: "node", sort: "node", cell: (job) => h("span", { title: job.node }, job.node || "") },
      ],
    });

    const heading = h("h1", { class: "unseen" }, "Jobs");
    replace(
      main,
      heading,
      groups,
      share,
      h(
        "div",
        { class: "filters", role: "search", "aria-label": "Choose jobs" },
        h("label", { class: "field wide" }, h("span", {}, "Search"), search),
        capability.field,
        result.field,
        h("div", { class: "foundline" }, found, clear),
      ),
      table.element,
      empty,
    );

    const refresh = () => {
      const all = [...Source.jobs.values()];
      const now = Source.now();
      const counts = GROUPS.map((group) => all.filter(group.has).length);
      buttons.forEach((button, index) => {
        button.firstChild.textContent = counts[index].toLocaleString("en");
        button.classList.toggle("none", counts[index] === 0);
        button.setAttribute("aria-pressed", String(chosen.status === GROUPS[index].name));
      });
      update(
        share,
        GROUPS.slice(1).map((group, index) =>
          counts[index + 1] ? h("span", { class: group.name, width: `${(100 * counts[index + 1]) / all.length}%` }) : null,
        ),
      );
      const ids = [...new Set(all.map((job) => job.capability_id))].sort();
      capability.set([["", "All"], ...ids.map((id) => [id, id])]);
      const words = chosen.q.toLowerCase().split(/\s+/).filter(Boolean);
      const group = GROUPS.find((each) => each.name === chosen.status) || GROUPS[0];
      const rows = all.filter(
        (job) =>
          group.has(job) &&
          (!chosen.capability || job.capability_id === chosen.capability) &&
          (!chosen.result || (job.status === "COMPLETED" && Words.reuse(job).kind === chosen.result)) &&
          words.every((word) => textOf(job).includes(word)),
      );
      const order = ORDERS[by()] || ORDERS.submitted;
      const keyed = rows.map((job) => [order(job, now), job]);
      const sign = down() ? -1 : 1;
      keyed.sort(([a, one], [b, other]) => {
        if (a !== b) return a < b ? -sign : sign;
        return one.job_id < other.job_id ? -sign : sign;
      });
      table.set(keyed.map(([, job]) => job));
      const isWhole = rows.length === all.length;
      const text = isWhole ? Words.count(rows.length, "job") : `${rows.length.toLocaleString("en")} of ${Words.count(all.length, "job")}`;
      if (found.textContent !== text) found.textContent = text;
      clear.hidden = chosen.status === "all" && !chosen.q && !chosen.capability && !chosen.result;
      table.element.hidden = rows.length === 0;
      empty.hidden = rows.length > 0;
      if (!rows.length)
        update(
          empty,
          all.length
            ? [h("h2", {}, "No job fits"), h("p", {}, "Change the search or the filters, or show all jobs.")]
            : [
                h("h2", {}, "No jobs yet"),
                h(
                  "p",
                  {},
                  Source.isReport
                    ? "There were none when this report was made."
                    : "A job appears here as soon as it is submitted: submit_capability(...) in Python, or checkmaite-jobs submit in a shell.",
                ),
              ],
        );
    };
    refresh();
    const stop = Source.listen(refresh);
    const clock = Source.isReport ? null : setInterval(table.draw, 1000);
    return {
      title: "Jobs",
      end() {
        stop();
        clearInterval(clock);
        table.end();
      },
    };
  };

  return { show, badge, bar };
})();
