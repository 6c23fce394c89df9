"use strict";
/* Where the page has its facts: from the server that it came from, or from the files beside it. */
const Source = (() => {
  const jobs = new Map();
  const listeners = new Set();
  let version = 0;
  let scope = null;

  const ask = async (path, options) => {
    let answer;
    try {
      answer = await fetch(`api/${path}`, options);
    } catch {
      throw new Error("The server of this page does not answer. Was `checkmaite-jobs ui` ended?");
    }
    const body = await answer.json().catch(() => ({ error: "The server of this page refuses to answer." }));
    if (!answer.ok) throw new Error(body.error);
    return body;
  };

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  const take = (news) => {
    const before = news.whole ? new Map(jobs) : jobs;
    if (news.whole) jobs.clear();
    const changed = [];
    for (const job of news.jobs) {
      const old = before.get(job.job_id);
      jobs.set(job.job_id, job);
      changed.push({ job, old });
    }
    for (const id of news.gone) jobs.delete(id);
    for (const listener of listeners) listener(changed);
  };

  const live = {
    async begin(onState) {
      scope = await ask("scope");
      (async () => {
        for (;;) {
          try {
            const news = await ask(`jobs?after=${version}`);
            const isNew = news.version !== version;
            version = news.version;
            if (isNew || news.whole) take(news);
            onState({ ok: true });
          } catch (error) {
            onState({ ok: false, why: error.message });
            await pause(2000);
          }
          if (document.hidden) await pause(1000);
        }
      })();
      return scope;
    },
    detail: (id, log) => ask(`jobs/${encodeURIComponent(id)}?from=${log.end || 0}&mark=${log.mark || 0}`),
    occupancy: () => ask("occupancy"),
    tables: () => ask("tables"),
    preview: (name) => ask(`tables/${encodeURIComponent(name)}`),
    query: (sql) =>
      ask("sql", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ sql }) }),
  };

  /** Details are in files of their own, each a script: a page of a folder may fetch nothing. */
  const load = (number) =>
    new Promise((done, failed) => {
      if (checkmaiteDetails[number]) return done(checkmaiteDetails[number]);
      const script = document.createElement("script");
      script.src = `details/${number}.js`;
      script.addEventListener("load", () => done(checkmaiteDetails[number]));
      script.addEventListener("error", () => failed(new Error(`The file details/${number}.js of this report is missing.`)));
      document.head.append(script);
    });

  const kept = (report) => {
    const places = new Map();
    return {
      async begin(onState) {
        scope = report.scope;
        report.jobs.forEach((job, index) => places.set(job.job_id, Math.floor(index / report.jobs_in_file)));
        onState({ ok: true, madeAt: report.made_at });
        take({ whole: true, jobs: report.jobs, gone: [] });
        return scope;
      },
      async detail(id) {
        if (!places.has(id)) throw new Error(`There is no job ${id} in this report.`);
        return (await load(places.get(id)))[id];
      },
      occupancy: async () => report.occupancy,
      tables: async () => report.store,
      preview: async (name) => report.store.previews[report.store.tables.findIndex((table) => table.name === name)],
      answers: report.store.answers,
    };
  };

  const report = globalThis.checkmaiteReport;
  const chosen = report ? kept(report) : live;
  return {
    ...chosen,
    jobs,
    isReport: Boolean(report),
    /** The instant that ages are told by: of a report, when it was made. */
    now: () => (report ? report.made_at : new Date().toISOString()),
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
})();
globalThis.checkmaiteDetails = globalThis.checkmaiteDetails || {};
