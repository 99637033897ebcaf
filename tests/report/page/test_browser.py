"""The page in a real browser: no error, nothing fetched, usable by keyboard."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from animelm.report.page.content import read_content
from animelm.report.page.html import report_page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, _NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(comparison: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_page(read_content(comparison), "ja"), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", [390, 794, 1280])  # phone, paper, desk
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_without_error_and_fetches_nothing(
    browser: "sync_api.Browser", address: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    assert page.locator("#answers tbody tr").count() == 48
    assert problems == []
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    assert page.locator("#answers b").count() == 0
    assert '<script>alert("x")</script><b>太字</b>' in page.inner_text("#answers")
    page.close()


def test_search_and_filters_work_by_keyboard(browser: "sync_api.Browser", address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    found = page.locator("#found")
    sync_api.expect(found).to_have_text("該当 48問")
    page.keyboard.press("/")
    page.keyboard.type("質問17?")
    sync_api.expect(found).to_have_text("該当 2問")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    sync_api.expect(found).to_have_text("該当 48問")
    page.keyboard.press("Tab")  # to the outcome
    assert page.evaluate("document.activeElement.id") == "filter-outcome"
    page.keyboard.press("ArrowDown")
    sync_api.expect(found).to_have_text("該当 17問")  # gained
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    sync_api.expect(found).to_have_text("該当 17問")  # 1 + 16 lost
    assert page.locator("#answers u, #answers .rival").count() > 0
    page.close()
