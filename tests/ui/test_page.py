"""The page in a real browser: what is seen, what can be done by keyboard, and what is told to a screen reader."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from checkmaite.jobs import JobStatus, report_progress, submit_capability
from checkmaite.jobs.testing import SampleRun
from checkmaite.jobs_ui import write_report
from checkmaite.jobs_ui.report import write_site
from checkmaite.jobs_ui.server import PageServer, Scope

from tests.ui.conftest import SOON_MS
from tests.ui.listed import Listed, sweep

AXE = Path(__file__).parent / "vendor" / "axe.js"
HOSTILE = "<img src=x onerror=alert(1)>\"'</script><b>&amp;"


def names(page: Any) -> list[str]:
    return page.locator("tr[data-key] .name a").all_inner_texts()  # type: ignore[no-any-return]


def wait_for(page: Any, selector: str, text: str) -> None:
    page.locator(selector, has_text=text).first.wait_for()


# -- all jobs ----------------------------------------------------------------------------------------------------------


def test_filters_and_search_choose_jobs(serving: Callable[..., PageServer], open_page: Callable[..., Any]) -> None:
    page = open_page(serving(Listed(sweep(30))).url)
    wait_for(page, ".found", "30 jobs")
    assert page.title() == "Jobs · team-a"

    page.get_by_role("button", name="Failed").click()
    wait_for(page, ".found", "2 of 30 jobs")
    assert page.locator("tr[data-key]").count() == 2
    assert page.locator("tr[data-key]").first.inner_text().count("ValueError: images have 3 channels") == 1
    page.get_by_role("button", name="Show all").click()
    page.locator("tr[data-key]").nth(2).wait_for()
    page.get_by_label("Search").fill("LENET  noise")
    wait_for(page, ".found", "of 30 jobs")
    assert names(page)
    rows = [row.lower() for row in page.locator("tr[data-key]").all_inner_texts()]
    assert all("noise" in row for row in rows)
    page.get_by_label("Search").fill("no such thing")
    wait_for(page, ".empty", "No job fits")
    page.get_by_label("Search").fill("")
    page.get_by_label("Capability").select_option("calibration")
    page.get_by_label("Result").select_option("REUSED")
    page.locator("tr[data-key]").nth(4).wait_for(state="detached")
    assert page.locator("tr[data-key] .second").all_inner_texts() == ["calibration"] * len(names(page))
    assert "result=REUSED" in page.url
    page.reload()  # the address says what was chosen
    wait_for(page, ".found", "of 30 jobs")
    assert page.get_by_label("Capability").input_value() == "calibration"


def test_a_click_on_a_heading_sorts(serving: Callable[..., PageServer], open_page: Callable[..., Any]) -> None:
    page = open_page(serving(Listed(sweep(12))).url)
    wait_for(page, ".found", "12 jobs")
    newest_first = names(page)
    page.get_by_role("button", name="Submitted").click()
    page.locator("th[aria-sort=ascending]", has_text="Submitted").wait_for()
    assert names(page) == newest_first[::-1]
    page.get_by_role("button", name="Job", exact=True).click()
    page.locator("th[aria-sort=descending]", has_text="Job").wait_for()
    assert names(page) == sorted(newest_first, reverse=True)


def test_ten_thousand_jobs_are_a_window_of_rows(
    serving: Callable[..., PageServer], open_page: Callable[..., Any]
) -> None:
    jobs = sweep(10_000)
    page = open_page(serving(Listed(jobs)).url)
    wait_for(page, ".found", "10,000 jobs")
    table = page.get_by_role("table", name="Jobs")
    assert table.get_attribute("aria-rowcount") == "10001"
    assert page.locator("tr[data-key]").count() < 60
    page.locator(".frame").evaluate("frame => { frame.scrollTop = frame.scrollHeight; }")
    page.wait_for_selector(f'tr[data-key="{jobs[-1].job_id}"]')
    assert page.locator("tr[data-key]").count() < 60
    assert page.locator("tr[data-key]").last.get_attribute("aria-rowindex") == "10001"
    page.get_by_label("Search").fill(jobs[7_000].job_id)
    wait_for(page, ".found", "1 of 10,000 jobs")
    assert page.locator("*").count() < 400


def test_no_jobs_are_no_riddle(serving: Callable[..., PageServer], open_page: Callable[..., Any]) -> None:
    page = open_page(serving(Listed([])).url)
    wait_for(page, ".empty", "No jobs yet")


# -- live --------------------------------------------------------------------------------------------------------------


class Steps:
    """Goes on when it is told to; a class of the test, so that it runs in this process alone."""

    id = "steps"
    go = threading.Event()

    def run(self, *, config: Any, **_: Any) -> SampleRun:
        report_progress(1, 4, "the first quarter")
        print("the first line")  # noqa: T201 - its output is what is looked for
        assert self.go.wait(60)
        print("the last line")  # noqa: T201 - likewise
        if config.get("fails"):
            raise ValueError(config["fails"])
        return SampleRun(run_uid=config["run_uid"], capability_id=self.id)


@pytest.fixture
def steps(inline: Any) -> Any:
    Steps.go.clear()
    yield Steps()
    Steps.go.set()


def test_a_running_job_is_followed_to_its_end(
    steps: Any, serving_active: Callable[..., PageServer], open_page: Callable[..., Any]
) -> None:
    server = serving_active(title="live")
    page = open_page(server.url)
    wait_for(page, ".empty", "No jobs yet")
    job = submit_capability(steps, config={"run_uid": "followed"}, job_name="followed")
    wait_for(page, "tr[data-key] .badge", "Running")
    assert page.get_by_role("progressbar", name="Progress of followed").get_attribute("aria-valuenow") == "25"

    page.get_by_role("link", name="followed").click()
    wait_for(page, ".progress", "25 % · 1 of 4 · the first quarter")
    wait_for(page, ".log", "the first line")
    assert "the last line" not in page.locator(".log").inner_text()
    Steps.go.set()
    wait_for(page, ".headline .badge", "Completed")
    wait_for(page, ".log", "the last line")
    assert page.locator(".log").inner_text().count("the first line") == 1
    wait_for(page, "#news", "1 job completed")
    assert page.locator("#news").get_attribute("aria-live") == "polite"
    assert job.status is JobStatus.COMPLETED

    page.get_by_role("link", name="See its rows").click()
    wait_for(page, ".result td", "followed")


def test_a_failing_job_says_why_and_what_to_do(
    steps: Any, serving_active: Callable[..., PageServer], open_page: Callable[..., Any]
) -> None:
    Steps.go.set()
    server = serving_active()
    job = submit_capability(steps, config={"run_uid": "u", "fails": "three channels"}, job_name="fails")
    job.wait(SOON_MS / 1000)
    page = open_page(f"{server.url}#/jobs/{job.job_id}")
    why = page.get_by_role("region", name="Why it failed")
    why.wait_for()
    for text in ("ValueError: three channels", "Cause", "raised an exception", "What to do", "submit again"):
        assert text in why.inner_text()
    assert not page.get_by_text("raise ValueError").first.is_visible()
    page.get_by_text("Traceback", exact=True).click()
    assert "raise ValueError(config" in page.get_by_role("region", name="Traceback").inner_text()
    wait_for(page, ".log", "the last line")


def test_what_jobs_say_is_text(
    steps: Any, serving_active: Callable[..., PageServer], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    class Hostile(Steps):
        id = HOSTILE

        def run(self, *, config: Any, **_: Any) -> SampleRun:
            report_progress(1, 2, HOSTILE)
            print(HOSTILE)  # noqa: T201 - what the page must not take for markup
            raise ValueError(HOSTILE)

    job = submit_capability(Hostile(), config={"run_uid": "u"}, job_name=HOSTILE)
    job.wait(SOON_MS / 1000)
    server = serving_active(title=HOSTILE)
    page = open_page(server.url)
    wait_for(page, "tr[data-key]", HOSTILE)
    page.goto(f"{server.url}#/jobs/{job.job_id}")
    wait_for(page, ".log", HOSTILE)
    assert HOSTILE in page.get_by_role("region", name="Why it failed").inner_text()
    assert page.locator("img, b, main script").count() == 0
    page = open_page(write_report(tmp_path / "site", title=HOSTILE).as_uri())
    wait_for(page, "tr[data-key]", HOSTILE)
    assert page.locator("img, b, main script").count() == 0


def test_an_ended_server_is_told(serving: Callable[..., PageServer], open_page: Callable[..., Any]) -> None:
    with PageServer(Scope("team-a", Listed(sweep(3)), None)) as server:
        page = open_page(server.url)
        wait_for(page, ".found", "3 jobs")
    wait_for(page, "#state", "does not answer")
    page.close()  # it asks again, and the browser notes each time that nobody answers, or not any more
    assert [fault for fault in open_page.faults if "net::ERR_" not in fault] == []
    open_page.faults.clear()


# -- results -----------------------------------------------------------------------------------------------------------


def test_a_query_has_rows_and_a_chart(
    serving: Callable[..., PageServer], open_page: Callable[..., Any], scores: Any
) -> None:
    page = open_page(f"{serving(Listed(sweep(3)), scores).url}#/store")
    wait_for(page, ".tables", "robustness")
    wait_for(page, ".result .found", "8 rows")
    page.get_by_role("textbox", name="Ask by SQL").fill(
        "select severity, model_id, round(avg(accuracy), 3) as mean_accuracy from robustness group by all order by 1, 2"
    )
    page.keyboard.press("Control+Enter")
    wait_for(page, ".result th", "mean_accuracy")
    assert page.locator(".result tr[data-key]").first.locator("td").all_inner_texts() == ["1", "lenet", "0.87"]
    wait_for(page, ".chart h3", "mean_accuracy by severity, for each model_id")
    assert page.locator(".chart .key li").all_inner_texts() == ["lenet", "vit"]
    assert page.get_by_role("img", name="Chart: mean_accuracy by severity").is_visible()
    page.get_by_label("Drawn as").select_option("bars")
    page.get_by_label("A line for each").select_option("nothing")
    wait_for(page, ".chart .help", "their mean is shown")
    assert "sql=select+severity" in page.url


def test_a_refused_query_says_why(
    serving: Callable[..., PageServer], open_page: Callable[..., Any], scores: Any
) -> None:
    page = open_page(f"{serving(Listed([]), scores).url}#/store")
    wait_for(page, ".result .found", "8 rows")
    for sql, why in (("drop table runs", "exactly one SELECT"), ("select nothing from runs", "nothing")):
        page.get_by_role("textbox", name="Ask by SQL").fill(sql)
        page.get_by_role("button", name="Run", exact=True).click()
        wait_for(page, "[role=alert]", why)
    page.close()  # else the browser may yet note an answer: it does so with each that is an error
    assert all("422" in fault for fault in open_page.faults)
    open_page.faults.clear()


# -- the queue ---------------------------------------------------------------------------------------------------------


def test_the_queue_says_what_waits_and_how_full_the_cluster_is(
    serving: Callable[..., PageServer], open_page: Callable[..., Any]
) -> None:
    page = open_page(f"{serving(Listed(sweep(30))).url}#/queue")
    wait_for(page, "main", "6 of 8 reserved")
    assert page.get_by_role("progressbar", name="CPUs in use").get_attribute("aria-valuenow") == "75"
    tiles = page.locator(".tile").all_inner_texts()
    assert tiles[0].split("\n") == ["3", "jobs wait"]
    assert tiles[1].split("\n") == ["6", "jobs run"]
    page.get_by_role("region", name="What waits").get_by_role("link").first.click()
    wait_for(page, "main", "It waits for a place: it asks for 2 CPUs, and all 8 are taken.")


# -- keyboard, screen reader -------------------------------------------------------------------------------------------


def test_all_is_reached_by_keyboard(serving: Callable[..., PageServer], open_page: Callable[..., Any]) -> None:
    page = open_page(serving(Listed(sweep(300))).url)
    wait_for(page, ".found", "300 jobs")

    def focused() -> str:
        return page.evaluate("document.activeElement.id || document.activeElement.innerText")  # type: ignore[no-any-return]

    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(focused().replace("\n", " "))
        if page.evaluate("document.activeElement.closest('tr[data-key]') !== null"):
            break
    for expected in ("Skip to the content", "Jobs", "Queue", "Results", "300 All", "search", "capability", "result"):
        assert expected in seen, seen
    for key, index in (("ArrowDown", 1), ("End", 299), ("ArrowUp", 298), ("Home", 0), ("PageDown", None)):
        page.keyboard.press(key)
        found = page.evaluate("Number(document.activeElement.closest('tr').dataset.index)")
        assert found == index or (index is None and found > 3)
    name = focused()
    page.keyboard.press("Enter")
    wait_for(page, "h1", name)
    assert page.evaluate("document.activeElement.id") == "main"
    page.go_back()
    wait_for(page, ".found", "300 jobs")


def test_rows_that_change_keep_the_focus(
    serving: Callable[..., PageServer], open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Listed(sweep(20))
    page = open_page(serving(listed).url)
    wait_for(page, ".found", "20 jobs")
    second = listed.jobs[1]
    page.locator(f'tr[data-key="{second.job_id}"] a').focus()
    newest = attrs.evolve(listed.jobs[0], job_id="job-zzz", submitted_at=listed.jobs[0].submitted_at)
    listed.jobs = [newest, attrs.evolve(second, job_name="renamed"), *listed.jobs[2:]]
    wait_for(page, "tr[data-key]", "renamed")
    assert page.evaluate("document.activeElement.innerText") == "renamed"


@pytest.mark.parametrize("place", ["row", "heading", "queue"])
def test_what_is_drawn_anew_while_a_button_is_held_down_is_clicked(
    serving: Callable[..., PageServer], open_page: Callable[..., Any], place: str
) -> None:
    """A job changes many times a second, and a finger takes a tenth of one."""
    listed = Listed(sweep(20))
    waiting = next(job for job in listed.jobs if job.status is JobStatus.PENDING)
    page = open_page(f"{serving(listed).url}{'#/queue' if place == 'queue' else ''}")
    row, link = f'tr[data-key="{waiting.job_id}"]', f'main a[href="#/jobs/{waiting.job_id}"]'
    pressed = page.get_by_role("button", name="Submitted") if place == "heading" else page.locator(link)
    pressed.hover()
    page.mouse.down()
    listed.jobs = [attrs.evolve(job, job_name="renamed") if job is waiting else job for job in listed.jobs]
    wait_for(page, row if place != "queue" else link, "renamed")
    page.mouse.up()
    if place == "heading":
        page.locator("th[aria-sort=ascending]", has_text="Submitted").wait_for()
    else:
        wait_for(page, "h1", "renamed")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_stands_in_the_way_of_a_screen_reader(
    serving: Callable[..., PageServer], open_page: Callable[..., Any], scores: Any, colours: str
) -> None:
    listed = Listed(sweep(30))
    url = serving(listed, scores).url
    page = open_page(url, color_scheme=colours, bypass_csp=True)
    ready = {
        "": "tr[data-key]",
        "#/queue": ".plot canvas",
        "#/store": ".chart canvas",
        **{
            f"#/jobs/{job.job_id}": ".timeline"
            for job in (listed.jobs[0], listed.jobs[1], listed.jobs[3], listed.jobs[10])
        },
    }
    script = AXE.read_text("utf-8")
    found = []
    for address, selector in ready.items():
        page.goto(f"{url}{address}")
        page.wait_for_selector(selector)
        page.evaluate(script)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [
            (address, each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"])
            for each in result["violations"]
        ]
    assert found == []


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(
    serving: Callable[..., PageServer], open_page: Callable[..., Any], scores: Any, width: int
) -> None:
    long = attrs.evolve(sweep(1)[0], job_name="a-very-long-name-of-a-job" * 12, capability_id="x" * 200)
    listed = Listed([long, *sweep(30)[1:]])
    url = serving(listed, scores, "a-very-long-name-of-a-scope" * 5).url
    page = open_page(url, width=width)
    for address, selector in (
        ("", "tr[data-key]"),
        ("#/queue", ".plot canvas"),
        ("#/store", ".chart canvas"),
        (f"#/jobs/{long.job_id}", ".timeline"),
        (f"#/jobs/{listed.jobs[10].job_id}", ".timeline"),
    ):
        page.goto(f"{url}{address}")
        page.wait_for_selector(selector)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_report_needs_no_server(open_page: Callable[..., Any], scores: Any, tmp_path: Path) -> None:
    sql = "select model_id, severity, accuracy from robustness order by all"
    listed = Listed(sweep(250))
    index = write_site(Scope("team-a", listed, scores), tmp_path / "site", [sql])
    page = open_page(index.as_uri(), offline=True)
    wait_for(page, ".found", "250 jobs")
    wait_for(page, "#state", "Report of 20")
    page.get_by_role("button", name="Failed").click()
    wait_for(page, ".found", "19 of 250 jobs")
    page.locator("tr[data-key] a").last.click()
    wait_for(page, "section", "images have 3 channels")
    wait_for(page, ".log", "image 850 of 899")
    wait_for(page, ".timeline", "its node was lost")
    page.get_by_role("link", name="Queue").click()
    wait_for(page, "main", "6 of 8 reserved")
    page.get_by_role("link", name="Results").click()
    wait_for(page, ".query", "select model_id")
    wait_for(page, ".chart h3", "accuracy by severity, for each model_id")
    assert page.locator("#sql").count() == 0
    page.get_by_role("button", name="runs 4 rows").click()
    wait_for(page, ".result th", "run_uid")
    page.get_by_role("link", name="Jobs").click()
    page.get_by_label("Search").fill(listed.jobs[240].job_id)
    wait_for(page, ".found", "1 of 250 jobs")
    page.locator("tr[data-key] a").click()  # of another file of details
    wait_for(page, ".facts", listed.jobs[240].job_id)
