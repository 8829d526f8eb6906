"""A card that could be meant for several EVSEs: the page asks, a person answers."""

from __future__ import annotations

import copy
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.page.test_page_browser import ARGS, CHROMIUM

ASKED = {
    "uid": "04A2B3C4",
    "for": "start",
    "evses": [1, 2],
    "question": "Which EVSE is this card for? Choose EVSE 1 or 2.",
    "until": "2026-11-22T12:00:30+00:00",
}


def ask(world: Any, **more: Any) -> None:
    """Two EVSEs, plugged in together, and a card."""
    first = world.station.state["evses"][0]
    first.update(phase="preparing", plugged=True, pilot_state="B1",
                 why="Not charging yet. Which EVSE is this card for? Choose EVSE 1 or 2.")  # fmt: skip
    world.change(evses=[first, {**copy.deepcopy(first), "evse": 2}], asked={**ASKED, **more})


def post(world: Any, path: str, origin: str | None) -> int:
    """The status."""
    url = world.url.rstrip("/")
    request = urllib.request.Request(url + path, data=b"", method="POST")
    if origin is not None:
        request.add_header("Origin", origin or url)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_only_our_own_page_answers_and_only_what_was_asked(world: Any) -> None:
    ask(world)
    assert post(world, "/api/card/evse/2", None) == 403
    assert post(world, "/api/card/evse/2", "http://evil.example") == 403
    assert world.chosen == []
    assert post(world, "/api/card/evse/3", "") == 409
    assert post(world, "/api/card/evse/x", "") == 404
    assert post(world, "/api/card/evse/2", "") == 204
    assert world.chosen == [2]


pages = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pages
@pytest.mark.page
@pytest.mark.timeout(60)
@pytest.mark.parametrize("width", [360, 1200])
def test_the_question_has_a_button_for_each_answer(
    browser: Browser, world: Any, width: int
) -> None:
    page: Page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(world.url)
    expect(page.locator("#question")).to_be_hidden()
    ask(world)
    expect(page.locator("#question-text")).to_have_text("Which EVSE is this card for?")
    expect(page.locator("#question button")).to_have_text(["EVSE 1", "EVSE 2"])
    expect(page.locator(".why").first).to_contain_text("Choose EVSE 1 or 2")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="EVSE 2", exact=True).click()
    page.wait_for_function("!document.querySelector('#question-said').textContent")
    world.change(asked=None)
    expect(page.locator("#question")).to_be_hidden()
    assert world.chosen == [2]
    page.close()


@pages
@pytest.mark.page
@pytest.mark.timeout(60)
def test_an_answer_that_comes_too_late_says_so(browser: Browser, world: Any) -> None:
    page: Page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(world.url)
    ask(world)
    expect(page.locator("#question button")).to_have_count(2)
    world.station.state["asked"]["evses"] = []
    page.get_by_role("button", name="EVSE 1", exact=True).click()
    expect(page.locator("#question-said")).to_have_text("EVSE 1 cannot be chosen any more.")
    page.close()
