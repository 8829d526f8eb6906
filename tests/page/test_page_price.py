"""What the driver sees about money, on a phone and on a desktop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.page.test_page_browser import ARGS, CHROMIUM

PRICE: dict[str, Any] = {
    "language": "en",
    "kind": "default",
    "text": "0.39 €/kWh, idle fee 4 €/h after 30 min",
    "cost": None,
    "currency": "EUR",
    "counted": False,
    "idle": False,
    "as_of": None,
    "unit_prices": None,
    "next": None,
    "qr": "",
}
RUNNING = {
    **PRICE,
    "kind": "running",
    "text": "Your contract: 0.34 €/kWh",
    "cost": "2.31",
    "counted": True,
    "as_of": "14:05",
    "unit_prices": {"kwh": "0.34", "idle_hour": "4.00", "grace_minutes": 30},
    "next": {"at": "19:00", "unit_prices": {"kwh": "0.29"}},
}
FINAL = {
    **PRICE,
    "kind": "final",
    "text": "7.2 kWh at 0.34 €/kWh. Thank you!",
    "cost": "2.45",
    "qr": "https://example.org/invoices/13546",
}
SHOTS = os.environ.get("CHARGEPOST_PAGE_SHOTS", "")

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.timeout(60),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(params=[(360, 740), (1280, 900)], ids=["phone", "desktop"])
def page(browser: Browser, world: Any, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(world.url)
    yield page
    context.close()
    assert complaints == []


def shot(page: Page, name: str) -> None:
    if SHOTS:
        assert page.viewport_size is not None
        page.screenshot(path=f"{SHOTS}/{name}-{page.viewport_size['width']}.png")


def fits(page: Page) -> bool:
    """Nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_before_during_and_after_a_charge(page: Page, world: Any, charging: Any) -> None:
    """COST-1, COST-3, COST-6 as the driver sees them."""
    price = page.locator(".price")
    expect(price).to_be_hidden()
    world.change({"price": PRICE})
    expect(price.locator(".price-label")).to_have_text("Price")
    expect(price.locator(".price-text")).to_have_text(str(PRICE["text"]))
    expect(price.locator(".amount")).to_be_hidden()
    shot(page, "price-before")
    world.change({**charging, "price": RUNNING})
    expect(price.locator(".amount")).to_have_text("2.31 EUR")
    expect(price.locator(".price-more")).to_contain_text("From 19:00: 0.29 EUR per kWh")
    expect(price.locator(".price-more")).to_contain_text("the first 30 min are free")
    expect(price.locator(".price-more")).to_contain_text("since 14:05")
    shot(page, "price-during")
    world.change({"phase": "finishing", "transaction_id": None, "price": FINAL})
    expect(price.locator(".price-label")).to_have_text("Total cost")
    expect(price.locator(".amount")).to_have_text("2.45 EUR")
    expect(price.locator("a")).to_have_attribute("href", str(FINAL["qr"]))
    shot(page, "price-after")
    assert fits(page)
    world.change({"price": None})
    expect(price).to_be_hidden()


def test_in_the_language_of_the_station(page: Page, world: Any) -> None:
    price = page.locator(".price")
    world.change({"price": {**RUNNING, "language": "de", "text": "", "idle": True}})
    expect(price.locator(".price-label")).to_have_text("Kosten bisher")
    expect(price).to_have_attribute("lang", "de")
    expect(price.locator(".price-more")).to_contain_text("Jetzt wird Standzeit berechnet.")
    expect(price.locator(".price-text")).to_contain_text("0.34 EUR pro kWh")
    shot(page, "price-german")
    world.change({"price": {**PRICE, "language": "pt-BR", "text": "R$ 2"}})
    expect(price.locator(".price-label")).to_have_text("Price")


def test_texts_of_the_backend_are_texts(page: Page, world: Any) -> None:
    """No markup, no script address, and long words do not break the page."""
    nasty = {
        **FINAL,
        "text": "<img src=x onerror=alert(1)>" + "x" * 300,
        "qr": "javascript:alert(1)",
    }
    world.change({"price": nasty})
    price = page.locator(".price")
    expect(price.locator(".price-text")).to_contain_text("<img src=x")
    expect(price.locator("img")).to_have_count(0)
    expect(price.locator("a")).to_have_count(0)
    expect(price.locator(".price-link")).to_contain_text("javascript:alert(1)")
    assert fits(page)


def test_every_evse_has_its_own(page: Page, world: Any) -> None:
    first = world.station.state["evses"][0]
    world.change(evses=[{**first, "price": PRICE}, {**first, "evse": 2, "price": RUNNING}])
    expect(page.locator(".evse").nth(0).locator(".amount")).to_be_hidden()
    expect(page.locator(".evse").nth(1).locator(".amount")).to_have_text("2.31 EUR")


def test_the_public_key_of_a_signing_meter_can_be_read(page: Page, world: Any) -> None:
    """REG-EICH-7."""
    key = page.locator("[data-f=key]")
    expect(key).to_be_hidden()
    world.change({"meter_public_key": "3059301306072A8648CE3D0201" * 7})
    expect(key).to_have_text("3059301306072A8648CE3D0201" * 7)
    shot(page, "public-key")
    assert fits(page)
