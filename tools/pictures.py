"""Makes the pictures of the documentation: ``hatch run pictures``. They show jobs that the tests of the page show."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from checkmaite.jobs_ui.server import PageServer, Scope
from checkmaite.store_parquet import ParquetStore
from playwright.sync_api import sync_playwright

from tests.ui.conftest import FLAGS
from tests.ui.listed import Listed, sweep
from tools import chromium

PICTURES = Path(__file__).parents[1] / "docs/pictures"
SQL = """select severity, model_id, round(avg(accuracy), 3) as accuracy
from robustness
group by all
order by all"""


def main() -> None:
    """One Chromium, a picture of each page."""
    program = chromium.find()
    if program is None:
        raise SystemExit(f"There is no Chromium here. {chromium.HOW}")
    PICTURES.mkdir(exist_ok=True)
    listed = Listed(sweep(158))
    failed = listed.jobs[10].job_id
    with (
        tempfile.TemporaryDirectory() as folder,
        PageServer(Scope("team-a", listed, results(folder))) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        for name, address, ready, colours, height in (
            ("jobs", "", "tr[data-key]", "light", 720),
            ("jobs-dark", "", "tr[data-key]", "dark", 720),
            ("failed-job", f"#/jobs/{failed}", ".timeline", "light", 900),
            ("queue", "#/queue", ".plot canvas", "light", 720),
            ("results", "#/store", ".chart canvas", "light", 900),
        ):
            page = browser.new_page(viewport={"width": 1280, "height": height}, color_scheme=colours)
            page.goto(f"{server.url}{address}")
            page.wait_for_selector(ready)
            if name == "failed-job":
                page.get_by_text("Traceback", exact=True).click()
            if name == "results":
                page.get_by_role("textbox", name="Ask by SQL").fill(SQL)
                page.keyboard.press("Control+Enter")
                page.get_by_text("accuracy by severity, for each model_id").wait_for()
                page.get_by_text("8 rows in").wait_for()
                page.mouse.click(5, 300)
            page.screenshot(path=str(PICTURES / f"{name}.png"))
            page.close()
        browser.close()


def results(folder: str) -> Any:
    """A store with the accuracy of two models under four severities of two corruptions."""
    store = ParquetStore(folder)
    for model, best in (("lenet", 0.97), ("vit-base", 0.985)):
        rows = [
            {
                "table_name": "robustness",
                "model_id": model,
                "corruption": corruption,
                "severity": severity,
                "accuracy": round(best - loss * severity**1.3, 3),
            }
            for corruption, loss in (("noise", 0.06 if model == "lenet" else 0.04), ("blur", 0.03))
            for severity in (1, 2, 3, 4)
        ]
        named = {"dataset_metadata": [{"id": "digits"}], "model_metadata": [{"id": model}], "metric_metadata": []}
        run = SimpleNamespace(
            run_uid=f"{model}-run", capability_id="robustness", extract=lambda rows=rows: rows, **named
        )
        store.write(run)
    return store


if __name__ == "__main__":
    main()
