"use strict";
/* Which page is shown, and what is told of the whole. The part of the address behind # says it, so Back works. */
(() => {
  const main = document.getElementById("main");
  const news = document.getElementById("news");
  const state = document.getElementById("state");
  const title = document.getElementById("title");
  const { h, update } = Dom;
  let page = null;
  let scope = null;
  let lastHash = null;

  const navigate = (hash, isSame = false) => {
    if (isSame) {
      history.replaceState(null, "", hash);
      lastHash = hash;
    } else location.hash = hash;
  };

  const route = () => {
    const hash = location.hash || "#/jobs";
    if (hash === lastHash) return;
    const isFirst = lastHash === null;
    lastHash = hash;
    const [path, query] = hash.slice(1).split("?");
    const parameters = new URLSearchParams(query || "");
    const [, name, id] = path.split("/");
    if (page) page.end();
    main.className = id ? "job" : name;
    document.querySelectorAll("nav a").forEach((link) => {
      if (link.dataset.page === name) link.setAttribute("aria-current", id ? "true" : "page");
      else link.removeAttribute("aria-current");
    });
    if (name === "jobs" && id) page = JobPage.show(main, decodeURIComponent(id), navigate);
    else if (name === "queue") page = QueuePage.show(main, navigate);
    else if (name === "store") page = StorePage.show(main, parameters, navigate);
    else page = JobsPage.show(main, parameters, navigate);
    document.title = `${page.title} · ${scope.title}`;
    scrollTo(0, 0);
    if (!isFirst) main.focus({ preventScroll: true });
  };

  /* A screen reader is told of ends, a few words at a time. */
  let ends = { COMPLETED: 0, FAILED: 0, CANCELLED: 0 };
  let isTelling = false;
  const tell = (changed) => {
    for (const { job, old } of changed) if (old && !Words.isFinal(old) && Words.isFinal(job)) ends[job.status] += 1;
    if (isTelling || !Object.values(ends).some(Boolean)) return;
    isTelling = true;
    setTimeout(() => {
      const words = { COMPLETED: "completed", FAILED: "failed", CANCELLED: "cancelled" };
      news.textContent = Object.entries(ends).filter(([, n]) => n).map(([status, n]) => `${Words.count(n, "job")} ${words[status]}`).join(", ");
      ends = { COMPLETED: 0, FAILED: 0, CANCELLED: 0 };
      isTelling = false;
    }, 1500);
  };

  const told = ({ ok, why, madeAt }) => {
    if (madeAt) update(state, h("span", { class: "dot kept", "aria-hidden": "true" }), `Report of ${Words.instant(madeAt)}`);
    else if (!ok) update(state, h("span", { class: "dot bad", "aria-hidden": "true" }), why);
    else if (scope && !scope.is_live) update(state, h("span", { class: "dot kept", "aria-hidden": "true" }), "From the journal");
    else update(state, h("span", { class: "dot", "aria-hidden": "true" }), "Live");
  };

  (async () => {
    try {
      const begun = Source.begin(told);
      Source.listen(tell);
      scope = await begun;
      title.textContent = scope.title;
      title.title = scope.store || "";
      addEventListener("hashchange", route);
      route();
    } catch (error) {
      told({ ok: false, why: error.message });
    }
  })();
})();
