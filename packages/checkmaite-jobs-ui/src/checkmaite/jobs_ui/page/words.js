"use strict";
/* What things are called, and how numbers are written. */
const Words = (() => {
  const STATES = {
    PENDING: { word: "Waiting", sign: "○", kind: "waiting" },
    SCHEDULING: { word: "Starting", sign: "◔", kind: "waiting" },
    RUNNING: { word: "Running", sign: "●", kind: "running" },
    COMPLETED: { word: "Completed", sign: "✓", kind: "completed" },
    FAILED: { word: "Failed", sign: "✕", kind: "failed" },
    CANCELLED: { word: "Cancelled", sign: "–", kind: "cancelled" },
  };
  const ENDS = { COMPLETED: "completed", FAILED: "failed", CANCELLED: "stopped on request" };
  const isFinal = (job) => job.status === "COMPLETED" || job.status === "FAILED" || job.status === "CANCELLED";
  const number = new Intl.NumberFormat("en");
  const count = (n, one, many) => `${number.format(n)} ${n === 1 ? one : many || `${one}s`}`;

  /** Seconds as people say them. */
  const span = (s) => {
    if (s === null || s === undefined || Number.isNaN(s)) return "";
    if (s < 9.95) return `${s.toFixed(1)} s`;
    if (s < 119.5) return `${Math.round(s)} s`;
    if (s < 7170) return `${Math.round(s / 60)} min`;
    if (s < 172000) return `${Math.round(s / 3600)} h`;
    return `${Math.round(s / 86400)} d`;
  };
  const age = (s) => (s < 1 ? "now" : s < 10 ? `${Math.floor(s)} s ago` : `${span(s)} ago`);
  const seconds = (from, until) => Math.max(0, (Date.parse(until) - Date.parse(from)) / 1000);
  const instant = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 19)} UTC` : "");
  const shortName = (type) => (type || "").split(".").pop();

  /** Seconds that a job has run, without its time in the queue; null where it has not started. */
  const ran = (job, now) => {
    if (!job.started_at) return null;
    if (isFinal(job)) return job.finished_at ? seconds(job.started_at, job.finished_at) : null;
    return seconds(job.started_at, now);
  };

  /** RUN, REUSED or STALE, and what else is told of it. */
  const reuse = (job) => {
    const [kind, ...rest] = (job.reuse || "RUN").split(":");
    return { kind: kind.split(";")[0].trim(), told: rest.join(":").trim() };
  };
  const RESULTS = { RUN: "New result", REUSED: "Used again", STALE: "Made anew" };

  /** What is known of a job, in a few words. */
  const outcome = (job, now) => {
    switch (job.status) {
      case "COMPLETED": {
        const { kind, told } = reuse(job);
        if (kind === "REUSED") return "Used again: the result was there";
        if (kind === "STALE") return `Made anew: ${told.split("; the result was")[0]} differs`;
        return "New result";
      }
      case "FAILED": {
        const name = shortName(job.error_type) || "Failed";
        return job.error_message ? `${name}: ${job.error_message.split("\n")[0]}` : name;
      }
      case "CANCELLED":
        return "Stopped on request";
      case "RUNNING":
        return job.started_at ? `Runs for ${span(seconds(job.started_at, now))}` : "Runs";
      default:
        return job.submitted_at ? `Waits for ${span(seconds(job.submitted_at, now))}` : "Waits";
    }
  };

  /** A value of a table. */
  const cell = (value) => {
    if (value === null || value === undefined) return "null";
    if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
    if (typeof value === "object") return JSON.stringify(value);
    return String(value);
  };

  return { STATES, ENDS, RESULTS, isFinal, count, number, span, age, seconds, instant, shortName, ran, reuse, outcome, cell };
})();
