"use strict";
/* The page of the queue: what waits and why, where jobs run, how full the cluster is, and how many have ended. */
const QueuePage = (() => {
  const { h, replace, update } = Dom;
  const MOST = 50;
  const BINS = 24;
  const NAMES = ["Completed or cancelled", "Failed"];

  const tile = (number, word) => h("div", { class: "tile" }, h("strong", {}, number), h("span", {}, word));

  const gauge = (resource) => {
    const share = resource.total ? Math.min(1, resource.used / resource.total) : 0;
    const isBytes = /memory/.test(resource.name);
    const said = (value) => (isBytes ? `${(value / 2 ** 30).toFixed(1)} GiB` : Words.cell(value));
    const name = { CPU: "CPUs", GPU: "GPUs", memory: "Memory", object_store_memory: "Object store" }[resource.name] || resource.name;
    return h("li", {}, h("span", { class: "which" }, name), JobsPage.bar(share, `${name} in use`), h("span", { class: "said" }, `${said(resource.used)} of ${said(resource.total)} reserved`));
  };

  /** Ends of jobs over time, in bins of equal length. */
  const ended = (jobs) => {
    const ends = jobs.filter((job) => job.finished_at).map((job) => [Date.parse(job.finished_at) / 1000, job.status === "FAILED"]);
    if (ends.length < 2) return null;
    const times = ends.map(([at]) => at);
    const first = times.reduce((a, b) => Math.min(a, b));
    const last = times.reduce((a, b) => Math.max(a, b));
    const size = Math.max((last - first) / BINS, 1);
    const bins = Math.min(BINS, Math.floor((last - first) / size) + 1);
    const well = Array(bins).fill(0);
    const failed = Array(bins).fill(0);
    for (const [at, hasFailed] of ends) (hasFailed ? failed : well)[Math.min(bins - 1, Math.floor((at - first) / size))] += 1;
    const places = well.map((_, at) => {
      const instant = new Date(1000 * (first + at * size)).toISOString();
      return last - first > 86400 ? instant.slice(5, 16).replace("T", " ") : instant.slice(11, 19);
    });
    return { places, isOrdered: false, isTime: false, names: NAMES, colours: ["--completed-fill", "--failed-fill"], lines: [well, failed], size };
  };

  const show = (main, navigate) => {
    const tiles = h("div", { class: "tiles" });
    const waits = h("div", {});
    const runs = h("div", {});
    const cluster = h("div", {});
    const place = h("div", { class: "plot" });
    const endedHelp = h("p", { class: "help" });
    const endedCard = h("section", { class: "card", "aria-label": "Ends of jobs" }, h("h2", {}, "Ends of jobs"), endedHelp, Chart.key(NAMES, ["completed", "failed"]), place);
    replace(main, h("h1", {}, "Queue"), tiles, h("div", { class: "cards" }, cluster, waits, runs, endedCard));
    let plot = null;
    let drawn = "";
    const drawEnds = (data) => {
      endedCard.hidden = !data;
      if (!data || !place.clientWidth) return;
      const now = JSON.stringify([data.lines, place.clientWidth, matchMedia("(prefers-color-scheme: dark)").matches]);
      if (now === drawn) return;
      drawn = now;
      if (plot) plot.destroy();
      endedHelp.textContent = `How many jobs ended in each ${Words.span(data.size)}, by the instant (UTC).`;
      plot = Chart.draw(place, data, "Chart: how many jobs ended over time.", "bars", 220);
    };
    const refresh = () => {
      const now = Source.now();
      const all = [...Source.jobs.values()];
      const waiting = all.filter((job) => Words.STATES[job.status].kind === "waiting").sort((a, b) => ((a.submitted_at || "") < (b.submitted_at || "") ? -1 : 1));
      const running = all.filter((job) => job.status === "RUNNING");
      const lastHour = all.filter((job) => job.finished_at && Words.seconds(job.finished_at, now) < 3600);
      const longest = waiting.length && waiting[0].submitted_at ? Words.span(Words.seconds(waiting[0].submitted_at, now)) : "none";
      update(
        tiles,
        tile(waiting.length.toLocaleString("en"), waiting.length === 1 ? "job waits" : "jobs wait"),
        tile(running.length.toLocaleString("en"), running.length === 1 ? "job runs" : "jobs run"),
        tile(longest, "is the longest wait now"),
        tile(lastHour.length.toLocaleString("en"), lastHour.length === 1 ? "job ended in the last hour" : "jobs ended in the last hour"),
      );
      const nodes = new Map();
      for (const job of running) nodes.set(job.node || "unknown", (nodes.get(job.node || "unknown") || 0) + 1);
      const most = Math.max(1, ...nodes.values());
      update(
        runs,
        h(
          "section",
          { class: "card", "aria-label": "Where jobs run" },
          h("h2", {}, "Where jobs run"),
          nodes.size
            ? h("ul", { class: "gauges" }, [...nodes].sort((a, b) => b[1] - a[1]).map(([node, n]) => h("li", {}, h("span", { class: "which", title: node }, node), h("span", { class: "bar plainbar", "aria-hidden": "true" }, h("span", { width: `${(100 * n) / most}%` })), h("span", { class: "said" }, Words.count(n, "job")))))
            : h("p", { class: "help" }, "No job runs now."),
        ),
      );
      update(
        waits,
        h(
          "section",
          { class: "card", "aria-label": "What waits" },
          h("h2", {}, "What waits"),
          waiting.length
            ? [
                h("p", { class: "help" }, waiting.length > MOST ? `The ${MOST} that wait longest. A job's page says why it waits.` : "Longest first. A job's page says why it waits."),
                h(
                  "ul",
                  { class: "list" },
                  waiting.slice(0, MOST).map((job) => h("li", {}, h("a", { href: `#/jobs/${encodeURIComponent(job.job_id)}` }, job.job_name), h("span", {}, job.submitted_at ? Words.span(Words.seconds(job.submitted_at, now)) : ""))),
                ),
              ]
            : h("p", { class: "help" }, "No job waits: all that were submitted have begun."),
        ),
      );
      drawEnds(ended(all));
    };
    let isOver = false;
    const lookAtCluster = async () => {
      try {
        const { resources } = await Source.occupancy();
        if (isOver) return;
        update(
          cluster,
          h(
            "section",
            { class: "card", "aria-label": "The cluster" },
            h("h2", {}, "The cluster"),
            resources && resources.length ? h("ul", { class: "gauges" }, resources.map(gauge)) : h("p", { class: "help" }, Source.isReport ? "What it has was not known when this report was made." : "What the cluster has is not known here."),
          ),
        );
      } catch (error) {
        if (!isOver) update(cluster, h("section", { class: "card", "aria-label": "The cluster" }, h("h2", {}, "The cluster"), h("p", { class: "help" }, error.message)));
      }
    };
    refresh();
    lookAtCluster();
    const stop = Source.listen(refresh);
    const clock = Source.isReport ? null : setInterval(refresh, 1000);
    const slow = Source.isReport ? null : setInterval(lookAtCluster, 3000);
    const watcher = new ResizeObserver(refresh);
    watcher.observe(place);
    return {
      title: "Queue",
      end() {
        isOver = true;
        stop();
        clearInterval(clock);
        clearInterval(slow);
        watcher.disconnect();
      },
    };
  };

  return { show };
})();
