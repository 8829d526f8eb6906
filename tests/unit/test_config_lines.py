"""Where a key stands in a TOML file."""

from __future__ import annotations

from controller.config_lines import line_of, scan

TEXT = '''# comment
[station]
id = "x"   # [not.a.table]
text = """
[evse]
key = 1
"""
[[evse]]
pilot = { driver = "pwm", channel = 1 }
[[evse]]
"max_current" = 3
[evse.contactor]
pin = 17
[ocpp201]
"A.B[C]" = "1"
'''


def test_tables_arrays_subtables_and_quoted_keys() -> None:
    lines = scan(TEXT)
    assert lines[("station", "id")] == 3
    assert ("evse", "key") not in lines
    assert lines[("evse", 0, "pilot")] == 9
    assert lines[("evse", 1, "max_current")] == 11
    assert lines[("evse", 1, "contactor", "pin")] == 13
    assert lines[("ocpp201", "A.B[C]")] == 15


def test_what_is_not_there_is_shown_at_its_table() -> None:
    lines = scan(TEXT)
    assert line_of(lines, ("evse", 0, "pilot", "channel")) == 9
    assert line_of(lines, ("evse", 0, "contactor")) == 8
    assert line_of(lines, ("bench",)) == 1
