"""All cases of OCPP 1.6, each run clean and then with one awaited frame dropped or altered."""

from __future__ import annotations

import random

import pytest

from controller.demo.csms import CallFailed
from tests.conformance.lab import run_case
from tests.conformance.registry import Case, cases_of
from tests.conformance.saboteur import Harmless, Point, Wrecker

ALL = cases_of("tests.conformance.v16")
_clean: dict[str, list[Point]] = {}
"""What each case that ran in this process was content with."""


@pytest.mark.parametrize("sabotaged", [False, True], ids=["clean", "sabotaged"])
@pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)
def test_case(case: Case, sabotaged: bool) -> None:
    if not sabotaged:
        _clean[case.name] = _points(run_case(case))
        return
    points = _clean.get(case.name) or _points(run_case(case))
    chance = random.Random(case.name)
    sabotage(case, points[chance.randrange(len(points))], chance)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)
def test_every_awaited_frame_matters(case: Case) -> None:
    for number, point in enumerate(_points(run_case(case))):
        sabotage(case, point, random.Random(f"{case.name} {number}"))


def sabotage(case: Case, target: Point, chance: random.Random) -> None:
    """The case must fail when this frame is missing or another one."""
    wrecker = Wrecker(target, chance)
    try:
        run_case(case, wrecker)
    except (AssertionError, CallFailed, LookupError, TimeoutError, ValueError, TypeError):
        assert wrecker.done, f"{case.name} failed before {target} came"
        return
    assert wrecker.done, f"{target} never came: the run was not the same as before"
    pytest.fail(f"{case.name} did not notice: {wrecker.done}")


def _points(clean: Harmless) -> list[Point]:
    assert clean.points, "the case awaits nothing"
    return clean.points
