"""The page as a person has it: real server, headless Chromium, phone and desktop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RCD = {
    "name": "rcd",
    "detail": "trip input low",
    "latched": True,
    "severity": "high",
    "driver": "Please use another EVSE.",
    "installer": "Look for leakage, reset the RCD.",
}

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


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console said."""
    return []


@pytest.fixture
def page(browser: Browser, world: Any, complaints: list[str]) -> Iterator[Page]:
    """The page on a phone; the console must stay silent."""
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(world.url)
    expect(page.locator(".word")).to_have_text("Available")
    yield page
    context.close()
    assert complaints == []


def test_changes_appear_without_reload(page: Page, world: Any, charging: dict[str, Any]) -> None:
    evse = page.locator(".evse")
    expect(evse).to_have_attribute("data-tone", "free")
    expect(page.locator("#card")).to_have_text(
        "No card was shown yet. Hold your card against the reader."
    )
    world.change(
        charging,
        last_card="04A2B3C4",
        frames=[
            ["out", [2, "a", "Authorize", {"idTag": "04A2B3C4"}], "2026-11-22T12:00:05Z"],
            ["in", [3, "a", {"idTagInfo": {"status": "Accepted"}}], "2026-11-22T12:00:05Z"],
        ],
    )
    expect(evse).to_have_attribute("data-tone", "charging")
    expect(page.locator(".word")).to_have_text("Charging")
    expect(page.locator(".why")).to_have_text(charging["why"])
    for field, text in {
        "power": "3.66 kW",
        "energy": "620 Wh",
        "drawn": "15.9 A",
        "offered": "16 A",
        "pilot": "C2: vehicle takes power",
        "contactor": "closed: outlet live",
        "register": "1235.120 kWh",
        "by": "04A2B3C4",
    }.items():
        expect(page.locator(f"[data-f={field}]")).to_have_text(text)
    expect(page.locator("#card")).to_have_text("04A2B3C4")
    expect(page).to_have_title("Charging · CP-1")


def test_frames_can_be_opened_and_stay_open(page: Page, world: Any) -> None:
    expect(page.locator("#no-frames")).to_have_text("Nothing was sent or received yet.")
    frames = [
        ["out", [2, "a", "Authorize", {"idTag": "X"}], "2026-11-22T12:00:05Z"],
        ["in", [3, "a", {"idTagInfo": {"status": "Invalid"}}], "2026-11-22T12:00:06Z"],
        ["in", [2, "b", "<img src=x>", {}], "2026-11-22T12:00:07Z"],
        ["out", [4, "b", "NotImplemented", "no such action", {}], "2026-11-22T12:00:07Z"],
    ]
    world.change(frames=frames)
    actions = page.locator("#frames .action")
    expect(actions).to_have_text(
        ["<img src=x> refused: NotImplemented", "<img src=x>", "Answer: Authorize", "Authorize"]
    )
    page.locator(".frame").nth(2).click()
    expect(page.locator("pre")).to_contain_text('"status": "Invalid"')
    world.change(frames=[*frames[1:], ["out", [2, "c", "Heartbeat", {}], "2026-11-22T12:01:00Z"]])
    expect(actions.first).to_have_text("Heartbeat")
    expect(actions).to_have_count(4)
    expect(page.locator("pre")).to_be_visible()


def test_faults_come_with_advice(page: Page, world: Any) -> None:
    world.change({"why": "The RCD has tripped.", "faults": [RCD], "inoperative_by_fault": True})
    expect(page.locator(".word")).to_have_text("Out of order")
    expect(page.locator(".evse")).to_have_attribute("data-tone", "fault")
    expect(page.locator(".fault b")).to_contain_text("RCD tripped")
    expect(page.locator(".fault i")).to_have_text("stays until cleared")
    expect(page.get_by_text("Please use another EVSE.")).to_be_visible()
    expect(page.get_by_text("Look for leakage, reset the RCD.")).to_be_hidden()
    page.get_by_text("For the installer").click()
    expect(page.get_by_text("Look for leakage, reset the RCD.")).to_be_visible()
    page.get_by_role("button", name="Clear this fault").click()
    expect(page.locator("#said")).to_contain_text("Asked to clear the fault")
    assert world.cleared == [(1, "rcd")]
    world.change({"faults": [], "inoperative_by_fault": False})
    expect(page.locator(".fault")).to_have_count(0)


def test_a_warning_is_shown_but_does_not_turn_red(page: Page, world: Any) -> None:
    world.change({"plugged": True, "faults": [{"name": "meter_silent", "severity": "warning"}]})
    expect(page.locator(".fault")).to_have_count(1)
    expect(page.locator(".fault[data-blocking]")).to_have_count(0)
    expect(page.locator(".evse")).to_have_attribute("data-tone", "plugged")


RUNNING = {"transaction_id": "7", "phase": "transaction", "plugged": True}


STATES: list[tuple[dict[str, Any], str, str]] = [
    ({"phase": "preparing"}, "Authorized", "plugged"),
    ({"phase": "preparing", "plugged": True}, "Plugged in", "plugged"),
    ({**RUNNING, "charging_state": "EVConnected"}, "Starting", "plugged"),
    ({**RUNNING, "charging_state": "Charging"}, "Charging", "charging"),
    ({**RUNNING, "charging_state": "SuspendedEV"}, "Vehicle pauses", "plugged"),
    ({**RUNNING, "charging_state": "SuspendedEVSE"}, "Paused", "waiting"),
    ({**RUNNING, "charging_state": "Idle"}, "Ending", "plugged"),
    ({"phase": "finishing", "plugged": True}, "Finished", "plugged"),
    ({"operative": False}, "Out of service", "off"),
    ({"inoperative_by_fault": True}, "Out of order", "fault"),
]


def test_every_state_has_its_word_and_colour(page: Page, world: Any) -> None:
    idle = dict(world.station.state["evses"][0])
    for evse, word, tone in STATES:
        world.change({**idle, **evse})
        expect(page.locator(".word")).to_have_text(word)
        expect(page.locator(".evse")).to_have_attribute("data-tone", tone)


def test_a_silent_guard_and_a_store_that_forgets_are_said(page: Page, world: Any) -> None:
    world.change(guard={"connected": False}, store={"durable": False, "note": "The disk is full."})
    expect(page.locator(".word")).to_have_text("Not ready")
    expect(page.locator(".evse")).to_have_attribute("data-tone", "off")
    expect(page.locator("#notice")).to_have_text("The disk is full.")


def test_the_next_step_stands_out(page: Page, world: Any) -> None:
    for evse, button in (
        ({"plugged": False}, "Plug in"),
        ({"plugged": True, "phase": "preparing"}, "Tap card"),
        ({"plugged": True, "phase": "finishing"}, "Unplug"),
    ):
        world.change(evse)
        expect(page.locator("#panel button.main")).to_have_text([button])


def test_backend_lost_and_stand_alone_are_said(page: Page, world: Any) -> None:
    backend = {"url": "wss://b.example/CP-1", "protocols": ["ocpp1.6"], "connected": False}
    world.change(backend=backend, queue=12, undelivered=1)
    expect(page.locator("#link")).to_have_text("Offline")
    expect(page.locator("#backend-state")).to_contain_text("what happens is kept and sent later")
    sentence = "No connection for 42 s."
    world.change(backend={**backend, "state": sentence})
    expect(page.locator("#backend-state")).to_have_text(sentence)
    expect(page.locator("#backend-queue")).to_have_text(
        "12 messages wait for the backend. 1 message was refused by the backend and kept."
    )
    world.change(backend={"configured": False, "url": ""})
    expect(page.locator("#link")).to_have_text("Stand-alone")
    expect(page.locator("#backend-state")).to_contain_text("works on its own")
    expect(page.locator("#no-frames")).to_have_text("There is no backend to talk to.")


def test_buttons_move_the_virtual_world(page: Page, world: Any) -> None:
    said = page.locator("#said")
    page.locator("#current").fill("20")
    page.locator("#phases").select_option("3")
    page.get_by_role("button", name="Plug in").click()
    expect(said).to_have_text("Cable plugged in.")
    page.get_by_role("button", name="Tap card").click()
    expect(said).to_have_text("Card 04A2B3C4 shown.")
    page.get_by_role("button", name="Unknown card").click()
    page.locator("#uid").press("Enter")
    expect(said).to_have_text("Card DEADBEEF shown.")
    for button in ("Pause", "Resume", "Unplug", "Disconnect", "Connect"):
        page.get_by_role("button", name=button, exact=True).click()
    page.locator("#fault").select_option("other")
    page.locator("#code").fill("MREC5")
    page.get_by_role("button", name="Set").click()
    page.get_by_role("button", name="Other (by code) is set").click()
    expect(page.locator("#causes button")).to_have_count(0)
    page.locator("#fault").select_option("rcd")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#causes button")).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#causes button")).to_have_count(0)
    vehicle = {"current": 20, "phases": 3}
    assert world.bench.calls == [
        ("POST", "/bench/evses/1/plug", vehicle),
        ("POST", "/bench/rfid", {"uid": "04A2B3C4"}),
        ("POST", "/bench/rfid", {"uid": "DEADBEEF"}),
        ("POST", "/bench/evses/1/pause", {}),
        ("POST", "/bench/evses/1/resume", vehicle),
        ("POST", "/bench/evses/1/unplug", {}),
        ("POST", "/bench/backend/disconnect", {}),
        ("POST", "/bench/backend/connect", {}),
        ("PUT", "/bench/evses/1/faults/other", {"code": "MREC5"}),
        ("DELETE", "/bench/evses/1/faults/other", {}),
        ("PUT", "/bench/evses/1/faults/rcd", {}),
        ("DELETE", "/bench/evses/1/faults/rcd", {}),
    ]


def test_a_refusal_of_the_bench_is_said_in_words(
    page: Page, world: Any, complaints: list[str]
) -> None:
    world.bench.refuse = (409, "a vehicle is already plugged in")
    page.get_by_role("button", name="Plug in").click()
    expect(page.locator("#said")).to_have_text("Not possible now: a vehicle is already plugged in")
    # Chromium itself notes every refused request.
    assert [text for text in complaints if "409" not in text] == []
    complaints.clear()


def test_real_hardware_has_no_buttons(page: Page, world: Any) -> None:
    expect(page.locator("#panel")).to_be_visible()
    world.stop_serving()
    world.serve("127.0.0.1:0", virtual=False)
    page.goto(world.url)
    world.change({"faults": [RCD]})
    expect(page.locator(".fault")).to_be_visible()
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.get_by_role("button", name="Clear this fault")).to_have_count(0)


def test_two_evses_and_missing_keys(page: Page, world: Any, charging: dict[str, Any]) -> None:
    world.change(evses=[{"evse": 1}, {"evse": 2, **charging}], backend=None, station=None)
    expect(page.locator(".evse")).to_have_count(2)
    expect(page.locator(".evse[data-evse='2'] .word")).to_have_text("Charging")
    expect(page.locator(".evse[data-evse='1'] [data-f=power]")).to_have_text("–")
    page.locator("#which").select_option("2")
    page.get_by_role("button", name="Tap card").click()
    expect(page.locator("#said")).to_have_text("Card 04A2B3C4 shown.")
    assert world.bench.calls == [("POST", "/bench/rfid", {"uid": "04A2B3C4", "evses": [2]})]
    world.change(evses=[])
    expect(page.locator(".evse")).to_have_count(0)
    expect(page.locator("#loading")).to_contain_text("starting")


def test_a_lost_station_is_said_and_found_again(
    page: Page, world: Any, complaints: list[str]
) -> None:
    lost = page.locator("#lost")
    expect(lost).to_be_hidden()
    listen = world.url.removeprefix("http://").rstrip("/")
    world.stop_serving()
    expect(lost).to_contain_text("has lost the station")
    expect(lost).to_contain_text("What you see below is from")
    world.station.change({"plugged": True})
    world.serve(listen)
    expect(page.locator(".word")).to_have_text("Plugged in", timeout=15000)
    expect(lost).to_be_hidden()
    complaints.clear()  # the refused connections


def test_nothing_scrolls_sideways(page: Page, world: Any, charging: dict[str, Any]) -> None:
    long = "a-very-long-word-without-any-space-" * 4
    world.change(
        {**charging, "why": long, "faults": [{**RCD, "detail": long, "name": long}]},
        station={"id": long, "vendor": long},
        backend={"url": f"wss://{long}", "connected": True, "state": long},
        frames=[["out", [2, "a", long, {"status": long}], "2026-11-22T12:00:05Z"]],
    )
    expect(page.locator(".why")).to_have_text(long)
    page.locator(".frame").click()
    for width in (320, 360, 600, 768, 900, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def test_keyboard_alone_is_enough(page: Page, world: Any) -> None:
    page.locator("#current").focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Cable plugged in.")
    assert page.locator(".band [aria-live=polite] .why").count() == 1
