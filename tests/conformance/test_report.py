"""The page about conformance is what the tests say."""

from __future__ import annotations

from tests.conformance.report import PAGE, evidence, page
from tests.conformance.v16 import catalogue


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.conformance"


def test_every_id_that_a_test_names_is_known() -> None:
    known = {n for _, n, _ in [*catalogue.procedures(), *catalogue.rows()]}
    groups = {n.rsplit("_", 2)[0] + "_CS" for n in known if n.count("_") == 3}
    named = {n for n in evidence() if not n.startswith("RPC-")}
    assert named <= known | groups, sorted(named - known - groups)


def test_what_is_not_applicable_is_in_the_catalogue() -> None:
    known = {n for _, n, _ in [*catalogue.procedures(), *catalogue.rows()]}
    assert set(catalogue.NOT_APPLICABLE) <= known
