"""Every file of cases is a file of tests, so that workers share the cases evenly.

A case runs clean, and then sabotaged: with one awaited frame dropped or altered.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.demo.csms import CallFailed
from tests.conformance.lab import run_case
from tests.conformance.registry import Case, cases_in
from tests.conformance.saboteur import Harmless, Point, Wrecker

HERE = Path(__file__).parent


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".py" and file_path.name.startswith("cases_"):
        return CaseFile.from_parent(parent, path=file_path)
    return None


class CaseFile(pytest.File):
    """One `cases_<area>.py`."""

    def collect(self) -> Iterator[pytest.Item]:
        package = ".".join(self.path.parent.relative_to(HERE.parents[1]).parts)
        module = importlib.import_module(f"{package}.{self.path.stem}")
        for case in cases_in(module.__name__):
            runs = CaseRuns(case)
            for name, run in (("clean", runs.clean), ("sabotaged", runs.sabotaged)):
                yield CaseItem.from_parent(self, name=f"{case.name}[{name}]", run=run)
            every = CaseItem.from_parent(self, name=f"{case.name}[every]", run=runs.every_frame)
            every.add_marker("slow")
            yield every


class CaseItem(pytest.Item):
    """One run, or one after another, of one case."""

    def __init__(self, *, run: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._run = run

    def runtest(self) -> None:
        self._run()

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class CaseRuns:
    """The runs of one case; what the clean one was content with is remembered for the others."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._points: list[Point] = []

    def clean(self) -> None:
        """Nothing may be wrong."""
        self._points = _points(run_case(self._case))

    def sabotaged(self) -> None:
        """One frame, the same one every time."""
        points = self._points or _points(run_case(self._case))
        chance = random.Random(self._case.name)
        sabotage(self._case, points[chance.randrange(len(points))], chance)

    def every_frame(self) -> None:
        """Each awaited frame matters."""
        for number, point in enumerate(_points(run_case(self._case))):
            sabotage(self._case, point, random.Random(f"{self._case.name} {number}"))


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
