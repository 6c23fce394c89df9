"""How long the page of ten thousand jobs takes until its rows are painted, and how long a frame while one scrolls."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from checkmaite.jobs_ui.server import PageServer, Scope
from cluster import Cluster
from figures import ROUNDS, Figure

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is a script, beside what tests and tools share

from tests.ui.conftest import FLAGS
from tests.ui.listed import Listed, sweep
from tools import chromium

_WATCH = """
new MutationObserver((_, watcher) => {
  if (!document.querySelector("tr[data-key]")) return;
  watcher.disconnect();
  requestAnimationFrame(() => setTimeout(() => { globalThis.paintedAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
_SCROLL = """async () => {
  const frame = document.querySelector(".frame");
  const took = [];
  for (let step = 0; step < 60; step += 1) {
    const began = performance.now();
    frame.scrollTop += 4000;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    took.push(performance.now() - began);
  }
  return took.sort((a, b) => a - b)[54];
}"""


def first_paint(_: Cluster) -> list[Figure]:
    from playwright.sync_api import sync_playwright

    program = chromium.find()
    if program is None:
        return []
    rounds: dict[int, list[tuple[float, float]]] = {10: [], 10_000: []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        for _round in range(ROUNDS):
            for number, seen in rounds.items():
                with PageServer(Scope("bench", Listed(sweep(number)), None)) as server:
                    seen.append(_seen(browser, server.url))
        browser.close()
    few, many = ([statistics.median(part) for part in zip(*seen, strict=True)] for seen in rounds.values())
    return [
        Figure(
            name="page of 10,000 jobs until its rows are painted, against 10 jobs",
            baseline=few[0],
            measured=many[0],
            unit="ms",
            figure=many[0] - few[0],
            reach="at most 1,000 ms in all",
            met=many[0] <= 1_000,
        ),
        Figure(
            name="a frame while one scrolls through them (9 of 10 are shorter)",
            baseline=few[1],
            measured=many[1],
            unit="ms",
            figure=many[1] / few[1],
        ),
    ]


def _seen(browser: Any, url: str) -> tuple[float, float]:
    """Milliseconds from the click until rows are painted, and of a slow frame."""
    page = browser.new_page(
        viewport={"width": 1280, "height": 800}, bypass_csp=True
    )  # it forbids to wait for a function
    page.add_init_script(_WATCH)
    page.goto(url)
    page.wait_for_function("globalThis.paintedAt")
    found = page.evaluate("globalThis.paintedAt"), page.evaluate(_SCROLL)
    page.close()
    return found
