"""`chargepost card …`: the cards of the local list, as far as a person and not the operator keeps it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from controller.cli_status import ask_station, runtime_dir

MOST_CHARACTERS = 36
"""OCPP 2.0.1 idToken; 1.6 has 20."""
_UID = re.compile(r"[0-9A-F]{2}([: -]?[0-9A-F]{2}){3,9}", re.IGNORECASE)


def change(config: str, *, add: str = "", remove: str = "", as_json: bool) -> int:
    """Put a card on the list of the running station, or take it off. 0 = it is as wanted now."""
    uid = plain(add or remove)
    if not 0 < len(uid) <= MOST_CHARACTERS:
        print(f"{uid!r}: a card has 1 to {MOST_CHARACTERS} characters", file=sys.stderr)
        return 2
    before = _ask(config)
    if isinstance(before, int):
        return before
    if remove and uid.upper() not in before:
        print(f"{uid} is not on the local list", file=sys.stderr)
        return 1
    now = _ask(config, **({"add": uid} if add else {"remove": uid}))
    if isinstance(now, int):
        return now
    if as_json:
        print(json.dumps({"cards": now}))
    else:
        done = "is on" if add else "is off"
        print(f"{uid} {done} the local list; cards on it: {len(now)}")
    return 0


def show(config: str, *, as_json: bool) -> int:
    """All cards of the list, one a line."""
    cards = _ask(config)
    if isinstance(cards, int):
        return cards
    if as_json:
        print(json.dumps({"cards": cards}))
    else:
        print("\n".join(cards) if cards else "no card is on the local list")
    return 0


def plain(text: str) -> str:
    """A UID as the reader says it: 04:a2:b3:c4 means 04A2B3C4; other texts stay as they are."""
    text = text.strip()
    return re.sub("[: -]", "", text).upper() if _UID.fullmatch(text) else text


def _ask(config: str, **request: Any) -> list[str] | int:
    """The list afterwards, or the exit code when it cannot be had; why stands on stderr."""
    runtime = runtime_dir(config)
    if runtime is None:
        return 2
    answer = ask_station(runtime, {"do": "list", **request})
    problem = (
        "the station does not answer: is it running?" if answer is None else answer.get("error")
    )
    if answer is None or problem:
        print(problem, file=sys.stderr)
        return 1
    return [str(card) for card in answer["list"]]
