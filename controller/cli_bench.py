"""`chargepost bench …`: serves a virtual world, or acts in a running one over its API."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from controller.compiled import DEFAULT_CONFIG, read_compiled, read_source

if TYPE_CHECKING:
    from urllib.error import HTTPError

VERBS = {
    "plug": "plug a car in",
    "unplug": "pull the cable",
    "pause": "the car opens S2",
    "resume": "the car closes S2",
}


def add_bench(bench: argparse.ArgumentParser) -> None:
    """Declare the verbs."""
    verbs = bench.add_subparsers(metavar="VERB", required=True)

    serve = verbs.add_parser("serve", help="a world of its own, for a station with [bench] attach")
    serve.add_argument("--listen", metavar="127.0.0.1:PORT", required=True, help="bench API")
    serve.add_argument(
        "--socket", metavar="unix:PATH", required=True, help="where the station attaches"
    )
    serve.add_argument("--state", metavar="DIR", required=True, help="keeps the meter registers")
    serve.add_argument("--outputs-on-death", choices=("kept", "released"), default="kept")
    serve.add_argument("--coil-gate", action="store_true")
    serve.set_defaults(command=_serve)

    state = verbs.add_parser("state", help="print the whole state as JSON")
    _where(state)
    state.set_defaults(command=lambda options: _call(options, "GET", "/bench"))

    for verb, text in VERBS.items():
        parser = verbs.add_parser(verb, help=text)
        parser.add_argument("--evse", type=int, default=1)
        if verb in ("plug", "resume"):
            parser.add_argument("--current", type=float, help="amps the car wants")
            parser.add_argument("--phases", type=int, choices=(1, 2, 3))
        _where(parser)
        parser.set_defaults(command=_act, verb=verb)

    tap = verbs.add_parser("tap", help="show a card")
    tap.add_argument("uid", nargs="?", default="04A2B3C4")
    tap.add_argument("--evse", type=int, help="the card is meant for this EVSE")
    _where(tap)
    tap.set_defaults(command=_tap)

    fault = verbs.add_parser("fault", help="set or remove the cause of a fault")
    fault.add_argument("fault", metavar="NAME")
    fault.add_argument("--off", action="store_true", help="remove it")
    fault.add_argument("--code", help="for the fault `other`")
    fault.add_argument("--evse", type=int, default=1)
    _where(fault)
    fault.set_defaults(command=_fault)

    link = verbs.add_parser("backend", help="drop the link to the backend, or connect at once")
    link.add_argument("what", choices=("disconnect", "connect"))
    _where(link)
    link.set_defaults(
        command=lambda options: _call(options, "POST", f"/bench/backend/{options.what}", {})
    )


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bench", metavar="HOST:PORT", help="the bench; default: as the configuration says"
    )
    parser.add_argument(
        "--config", metavar="FILE", default=os.environ.get("CHARGEPOST_CONFIG") or DEFAULT_CONFIG
    )


def _serve(options: argparse.Namespace) -> int:
    from controller.children import python_argv

    arguments = ["--listen", options.listen, "--socket", options.socket.removeprefix("unix:")]
    arguments += ["--state", options.state, "--outputs-on-death", options.outputs_on_death]
    arguments += ["--coil-gate"] if options.coil_gate else []
    argv = python_argv("hal.sim.process", *arguments)
    os.execv(argv[0], argv)


def _act(options: argparse.Namespace) -> int:
    wanted = {key: getattr(options, key, None) for key in ("current", "phases")}
    body = {key: value for key, value in wanted.items() if value is not None}
    return _call(options, "POST", f"/bench/evses/{options.evse}/{options.verb}", body)


def _tap(options: argparse.Namespace) -> int:
    body: dict[str, Any] = {"uid": options.uid}
    if options.evse:
        body["evses"] = [options.evse]
    return _call(options, "POST", "/bench/rfid", body)


def _fault(options: argparse.Namespace) -> int:
    path = f"/bench/evses/{options.evse}/faults/{options.fault}"
    body = {"code": options.code} if options.code else {}
    return _call(options, "DELETE" if options.off else "PUT", path, body)


def _call(
    options: argparse.Namespace, method: str, path: str, body: dict[str, Any] | None = None
) -> int:
    address = options.bench or _configured(options.config)
    if not address:
        print(
            f"{options.config}: no [bench] listen there; name the bench: --bench HOST:PORT",
            file=sys.stderr,
        )
        return 2
    import urllib.error  # here, because every command declares its verbs through this file
    import urllib.request

    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://{address}{path}",
        data=data,
        method=method,
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5.0) as response:
            answer = response.read().decode()
    except urllib.error.HTTPError as error:
        print(f"bench: {_reason(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"bench at {address}: {getattr(error, 'reason', error)}", file=sys.stderr)
        return 1
    if method == "GET":
        print(answer)
    return 0


def _reason(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"


def _configured(config: str) -> str:
    source = read_source(config)
    bench = (source.table or {}).get("bench")
    if isinstance(bench, dict) and isinstance(bench.get("listen"), str):
        return str(bench["listen"])
    compiled = read_compiled(source.compiled) if source.table is not None else None
    return str(((compiled or {}).get("bench") or {}).get("listen") or "")
