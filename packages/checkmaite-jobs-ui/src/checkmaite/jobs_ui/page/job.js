"use strict";
/* The page of one job. */
const JobPage = (() => {
  const { h, replace, update } = Dom;
  const LOOK_MS = 1000;

  const facts = (pairs) =>
    h(
      "dl",
      { class: "facts" },
      pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    );

  const card = (title, ...children) => h("section", { class: "card", "aria-label": title }, h("h2", {}, title), children);

  /** How the job stands, in one sentence. */
  const sentence = (job, attempts, now) => {
    const where = job.node ? ` on ${job.node}` : "";
    const ran = Words.ran(job, now);
    const took = ran === null ? "" : ` It ran for ${Words.span(ran)}${where}.`;
    switch (job.status) {
      case "COMPLETED": {
        const { kind, told } = Words.reuse(job);
        if (kind === "REUSED") return `Nothing was computed: the result was there already (${told}).`;
        if (kind === "STALE") return `Completed. It was run again because this differs from an earlier run: ${told.split("; the result was")[0]}.${took}`;
        return `Completed: its result is stored.${took}`;
      }
      case "FAILED":
        return `Failed.${took}`;
      case "CANCELLED":
        return `Stopped on request.${took}`;
      case "RUNNING":
        return `Runs${where}${ran === null ? "" : ` for ${Words.span(ran)} now`}.`;
      case "SCHEDULING":
        return "A place was found for it; its worker starts.";
      default:
        return `Waits for ${Words.span(Words.seconds(job.submitted_at || now, now))}.`;
    }
  };

  const failureCard = (failure) => {
    if (!failure || failure.kind === "cancelled") return null;
    const trace = failure.traceback_text;
    return h(
      "section",
      { class: "card failure", "aria-label": "Why it failed" },
      h("h2", {}, "Why it failed"),
      h("p", { class: "error" }, h("strong", {}, failure.error_type || "No error is known"), failure.error_message ? `: ${failure.error_message}` : ""),
      h("dl", { class: "pairs" }, h("dt", {}, "Cause"), h("dd", {}, failure.cause), h("dt", {}, "What to do"), h("dd", {}, failure.remedy)),
      failure.exit_cause ? h("p", {}, `How its process ended: ${failure.exit_cause}.`) : null,
      trace ? h("details", {}, h("summary", {}, "Traceback"), h("pre", { class: "trace", tabindex: 0, role: "region", "aria-label": "Traceback" }, trace)) : null,
    );
  };

  /** Waiting and running of each start, on one scale of time. */
  const timeline = (job, attempts, now) => {
    const begin = job.submitted_at || attempts[0].started_at || now;
    const isOver = Words.isFinal(job);
    const end = (isOver && (job.finished_at || begin)) || now;
    const whole = Math.max(0.001, Words.seconds(begin, end));
    const part = (from, until, kind, label) => {
      const width = (100 * Words.seconds(from, until)) / whole;
      return h("span", { class: `part ${kind}`, width: `${Math.max(width, 0.5)}%`, title: label });
    };
    return card(
      attempts.length > 1 ? `Timeline: ${attempts.length} starts` : "Timeline",
      h(
        "ol",
        { class: "timeline" },
        attempts.map((each, index) => {
          const previous = index ? attempts[index - 1].ended_at : null;
          const until = each.ended_at || (isOver ? job.finished_at : now) || now;
          const queued = previous || begin;
          const started = each.started_at;
          const waited = Words.seconds(queued, started || until);
          const before = (100 * Words.seconds(begin, queued)) / whole;
          const told = [
            started ? `waited ${Words.span(waited)}, ran ${Words.span(Words.seconds(started, until))}` : `waited ${Words.span(waited)}`,
            each.node ? `on ${each.node}${each.pid ? ` (process ${each.pid})` : ""}` : null,
            each.end ? Words.ENDS[each.end] || each.end : null,
          ];
          return h(
            "li",
            {},
            attempts.length > 1 || each.number > 1 ? h("span", { class: "which" }, `Start ${each.number}`) : null,
            h(
              "span",
              { class: "track", "aria-hidden": "true" },
              h("span", { class: "part none", width: `${before}%` }),
              part(queued, started || until, "wait", `Waited ${Words.span(waited)}`),
              started ? part(started, until, Words.STATES[isOver ? job.status : "RUNNING"].kind, "Ran") : null,
            ),
            h("span", { class: "said" }, told.filter(Boolean).join(" · ")),
          );
        }),
      ),
      h(
        "p",
        { class: "scale" },
        h("span", {}, `Submitted ${Words.instant(job.submitted_at)}`),
        h("span", {}, isOver ? `Finished ${Words.instant(job.finished_at)}` : "Now"),
      ),
    );
  };

  const sizes = (name, value) => {
    if (typeof value !== "number") return Words.cell(value);
    if (/memory|bytes/.test(name)) return value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(1)} GiB` : `${Math.round(value / 2 ** 20)} MiB`;
    return Words.cell(value);
  };
  const resources = (detail) => {
    const names = { num_cpus: "CPUs", num_gpus: "GPUs", memory: "Memory", gpu_memory: "GPU memory" };
    const list = (values) =>
      facts(Object.entries(values || {}).filter(([, value]) => value !== null && value !== "" && !(typeof value === "object" && !Object.keys(value || {}).length)).map(([name, value]) => [names[name] || name.replaceAll("_", " "), sizes(name, value)]));
    const asked = Object.keys(detail.asked || {}).length > 0;
    const used = Object.values(detail.used || {}).some((value) => value !== null);
    if (!asked && !used) return null;
    return card(
      "Resources",
      h("div", { class: "two" }, asked ? h("div", {}, h("h3", {}, "Reserved"), list(detail.asked)) : null, used ? h("div", {}, h("h3", {}, "Used at most"), list(detail.used)) : null),
    );
  };

  const inputs = (list) => {
    if (!list.length) return null;
    return card(
      "What it stands on",
      h("p", { class: "help" }, "Fingerprints of the content. A result is used again only where all of them agree."),
      h(
        "table",
        { class: "plain" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Part"), h("th", { scope: "col" }, "Fingerprint"))),
        h("tbody", {}, list.map((each) => h("tr", {}, h("th", { scope: "row" }, each.part), h("td", {}, h("code", { title: each.print }, each.print))))),
      ),
    );
  };

  const rowsLink = (job) => {
    if (Source.isReport) return null; // which has no SQL
    return h("p", {}, h("a", { class: "button", href: `#/store?${new URLSearchParams({ run: job.run_uid })}` }, "See its rows"));
  };
  const result = (job) => {
    if (!job.run_uid) return null;
    return card(
      "Result",
      facts([
        ["Run", h("code", {}, job.run_uid)],
        ["Revision", job.revision],
        ["File with its rows", job.store_uri ? h("code", {}, job.store_uri) : "The run gave no rows."],
        ["Committed by", job.commit_uri ? h("code", {}, job.commit_uri) : null],
        ["Decision", job.reuse],
      ]),
      rowsLink(job),
    );
  };

  const show = (main, id, navigate) => {
    const log = { end: 0, mark: 0, text: "" };
    let isOver = false;
    let timer = null;
    let detail = null;
    let hasEnded = false;
    let isAsking = false;
    const row = Source.jobs.get(id);
    const head = h("div", { class: "jobhead" });
    const why = h("div", {});
    const rest = h("div", { class: "cards" });
    const output = h("pre", { class: "log", role: "log", "aria-live": "off", "aria-label": "What the job has printed", tabindex: 0 });
    const follow = h("input", { type: "checkbox", id: "follow" });
    follow.checked = true;
    const logNote = h("p", { class: "help" });
    const logCard = h(
      "section",
      { class: "card logcard", "aria-label": "Output" },
      h("div", { class: "cardhead" }, h("h2", {}, "Output"), Source.isReport ? null : h("label", { class: "check" }, follow, "Follow the end")),
      output,
      logNote,
    );
    logCard.hidden = true;
    const back = h("p", { class: "back" }, h("a", { href: "#/jobs" }, "← All jobs"));
    replace(main, back, head, why, rest, logCard);
    if (row) update(head, h("h1", {}, row.job_name), JobsPage.badge(row.status));

    const draw = () => {
      if (!detail) return;
      const { job } = detail;
      const now = Source.now();
      document.title = `${job.job_name} · ${Words.STATES[job.status].word}`;
      const far = detail.progress;
      const fraction = far && far.total ? Math.min(1, far.done / far.total) : null;
      update(
        head,
        h("div", { class: "headline" }, h("h1", {}, job.job_name), JobsPage.badge(job.status)),
        h("p", { class: "lead" }, sentence(job, detail.attempts, now)),
        far && !Words.isFinal(job)
          ? h(
              "div",
              { class: "progress" },
              fraction === null ? null : JobsPage.bar(fraction, "Progress"),
              h("span", {}, fraction === null ? `${far.done} done` : `${Math.floor(fraction * 100)} %`, far.total ? ` · ${far.done} of ${far.total}` : "", far.message ? ` · ${far.message}` : ""),
            )
          : null,
        facts([
          ["Capability", job.capability_id],
          ["Job", h("code", {}, job.job_id)],
          ["Submitted by", job.submitted_by],
          ["Node", job.node],
          ["Starts", job.attempts > 1 ? job.attempts : null],
          ["Tags", Object.entries(job.tags || {}).map(([name, value]) => `${name}=${value}`).join(", ")],
        ]),
      );
      update(why, failureCard(detail.failure));
      const isWaiting = job.status === "PENDING" || job.status === "SCHEDULING";
      update(
        rest,
        isWaiting && (detail.waits_for || detail.explanation)
          ? card(
              "Why it waits",
              detail.waits_for ? h("dl", { class: "pairs" }, h("dt", {}, "Cause"), h("dd", {}, detail.waits_for.cause), h("dt", {}, "What to do"), h("dd", {}, detail.waits_for.remedy)) : null,
              detail.explanation ? h("p", {}, detail.explanation) : null,
            )
          : null,
        timeline(job, detail.attempts, now),
        result(job),
        resources(detail),
        inputs(detail.fingerprints),
        !isWaiting && detail.explanation ? h("details", { class: "card" }, h("summary", {}, "All of it in one text"), h("p", { class: "explained" }, detail.explanation)) : null,
      );
    };

    const print = (news, has) => {
      logCard.hidden = !has;
      if (!has) return;
      if (news.from === 0) output.replaceChildren();
      if (news.text) {
        output.append(news.text);
        if (follow.checked && !Source.isReport) output.scrollTop = output.scrollHeight;
      }
      Object.assign(log, { end: news.end, mark: news.mark });
      logNote.textContent = output.textContent ? "" : Words.isFinal(detail.job) ? "It has printed nothing." : "It has printed nothing yet.";
      output.hidden = !output.textContent;
    };

    const look = async () => {
      if (isAsking) return;
      isAsking = true;
      try {
        const found = await Source.detail(id, log);
        if (isOver) return;
        // A details element that somebody has opened stays open: what is shown is only replaced where it differs.
        detail = found;
        draw();
        print(found.log, found.has_log);
        hasEnded = Words.isFinal(found.job);
      } catch (error) {
        if (!isOver && !detail) replace(main, back, h("div", { class: "empty" }, h("h1", {}, "This job cannot be shown"), h("p", {}, error.message)));
      } finally {
        isAsking = false;
      }
    };
    const round = async () => {
      await look();
      if (!isOver && !Source.isReport && !hasEnded) timer = setTimeout(round, LOOK_MS);
    };
    round();
    return {
      title: row ? row.job_name : "Job",
      end() {
        isOver = true;
        clearTimeout(timer);
      },
    };
  };

  return { show };
})();
