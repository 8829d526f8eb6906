"""Addresses to listen on: of the page and of the bench."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from controller.config_checks.checked import Checked
from controller.config_model import ConfigFile, WebTable
from controller.config_report import Finding, nearest

PAGE_LISTEN = str(WebTable.model_fields["listen"].default)
EVERYWHERE = frozenset(("0.0.0.0", "::"))
_ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:]+\]|[^\s:/]+):(\d{1,5})$")


def check_web(raw: Mapping[str, Any], checked: Checked) -> None:
    """[web]: a real address; everybody's network is warned about."""
    web = raw.get("web")
    if isinstance(web, dict) and isinstance(web.get("listen", ""), str):
        problem, loopback = _address(web.get("listen", PAGE_LISTEN))
        if problem:
            checked.problems.append(
                Finding(path=("web", "listen"), value=web["listen"], text=problem)
            )
        elif not loopback:
            checked.warnings.append(
                Finding(
                    path=("web", "listen"),
                    value=web["listen"],
                    text="everybody in this network can see and use the page: it has no login yet",
                )
            )


def check_bench(raw: Mapping[str, Any], checked: Checked) -> None:
    """[bench] is there exactly when something is virtual, and only this computer reaches it."""
    virtual = [
        path for path, table in checked.tables.items() if table and table.get("wires") == "sim"
    ]
    bench = raw.get("bench")
    misspelt = any(nearest(name, ["bench"]) for name in raw if name not in ConfigFile.model_fields)
    if virtual and bench is None and not misspelt:
        text = 'is on virtual wires: that needs [bench] with listen = "127.0.0.1:PORT" or attach = "unix:PATH"'
        checked.problems.append(Finding(path=virtual[0], value="sim", text=text))
    if not isinstance(bench, dict):
        return
    if not virtual and checked.tables:
        text = "is only for virtual hardware, and no part of this file is on virtual wires"
        checked.problems.append(Finding(path=("bench",), text=text))
    listen, attach = bench.get("listen"), bench.get("attach")
    if (listen is None) == (attach is None):
        text = 'needs exactly one of listen = "127.0.0.1:PORT" and attach = "unix:PATH"'
        checked.problems.append(Finding(path=("bench",), text=text))
    if isinstance(listen, str):
        problem, loopback = _address(listen)
        if not problem and not loopback:
            problem = "must be an address of this computer itself: whoever reaches the bench can do anything"
        if problem:
            hint = (
                f'"127.0.0.1:{listen.rsplit(":", 1)[-1]}"' if not loopback and ":" in listen else ""
            )
            checked.problems.append(
                Finding(path=("bench", "listen"), value=listen, text=problem, hint=hint)
            )


def check_one_listener_each(raw: Mapping[str, Any], checked: Checked) -> None:
    """Page and bench cannot share a port."""
    web, bench = raw.get("web"), raw.get("bench")
    if not isinstance(web, dict) or not isinstance(bench, dict):
        return
    page, other = web.get("listen", PAGE_LISTEN), bench.get("listen")
    if isinstance(page, str) and isinstance(other, str) and _collide(page, other):
        text = f"is taken by {'[bench] listen' if page == other else f'[bench] listen = {other}'}"
        checked.problems.append(
            Finding(path=("web", "listen"), value=page, text=f"{text}: they need a port each")
        )


def _collide(one: str, other: str) -> bool:
    """Two sockets cannot listen at both; port 0 is any free one."""
    first, second = _ADDRESS.match(one), _ADDRESS.match(other)
    if not first or not second or int(first[2]) != int(second[2]) or int(first[2]) == 0:
        return False
    hosts = {match[1].strip("[]").replace("localhost", "127.0.0.1") for match in (first, second)}
    return len(hosts) == 1 or bool(hosts & EVERYWHERE)


def _address(text: str) -> tuple[str, bool]:
    """(what is wrong with "HOST:PORT" or "", whether it is this computer only)."""
    match = _ADDRESS.match(text)
    if not match or not 0 <= int(match[2]) <= 65_535:
        return 'must be "HOST:PORT", for example "127.0.0.1:8080"', False
    return "", is_loopback(match[1].strip("[]"))


def is_loopback(host: str) -> bool:
    """Only this computer reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
