"""Validators over the schemas of the `ocpp` package, which itself is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from controller.ocpp.validation import ProblemKind, validators_16

VALIDATORS = validators_16()


def test_the_ocpp_package_and_pydantic_are_not_imported() -> None:
    code = (
        "import sys, controller.ocpp.v16.adapter;"
        "print(sorted({m.split('.')[0] for m in sys.modules}"
        " & {'ocpp', 'jsonschema', 'pydantic', 'aiohttp', 'pymodbus', 'sqlite3', 'serial'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("payload", "kind", "where"),
    [
        ({"key": "a"}, ProblemKind.MISSING, ""),
        ({"key": "a", "value": 1}, ProblemKind.TYPE, "value"),
        ({"key": "a" * 51, "value": ""}, ProblemKind.VALUE, "key"),
        ({"key": "a", "value": "", "more": 1}, ProblemKind.UNKNOWN_PROPERTY, ""),
        ({"key": 1, "more": 1}, ProblemKind.TYPE, "key"),
    ],
)
def test_the_gravest_problem_and_its_place(payload: object, kind: ProblemKind, where: str) -> None:
    problem = VALIDATORS.request("ChangeConfiguration", payload)
    assert problem is not None
    assert (problem.kind, problem.where) == (kind, where)


def test_unknown_fields_of_an_answer_are_tolerated_unless_asked_not_to() -> None:
    payload = {"idTagInfo": {"status": "Accepted", "more": 1}, "extra": {}}
    assert VALIDATORS.response("Authorize", payload) is None
    assert VALIDATORS.response("Authorize", payload, tolerate_extra=False) is not None


def test_tenths_are_multiples_of_a_tenth() -> None:
    def problem(limit: float) -> object:
        period = {"startPeriod": 0, "limit": limit}
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": schedule,
        }
        request = {"connectorId": 1, "csChargingProfiles": profile}
        return VALIDATORS.request("SetChargingProfile", request)

    assert all(problem(tenths / 10) is None for tenths in range(1, 640))
    assert problem(8.15) is not None


def test_names_are_no_paths() -> None:
    assert VALIDATORS.knows("Reset")
    for name in ("../v16/schemas/Reset", "Reset/", "ResetResponse", "", "reset", "Reset\x00"):
        assert not VALIDATORS.knows(name)
