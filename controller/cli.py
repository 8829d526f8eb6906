"""`chargepost …`: what may be asked for on the command line. Parses and hands over; no logic here.

Exit codes: 0 good (warnings allowed), 1 a problem was found, 2 wrong usage or configuration.
Modules are imported when their command runs, so that `run` and `safe-outputs` start fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from controller import __version__
from controller.compiled import DEFAULT_CONFIG

if TYPE_CHECKING:
    import argparse

NOT_BUILT_YET = {
    "doctor": "look for everything that would keep this installation from charging",
    "commission": "guided first start of an installation",
    "report": "a report of sessions or of the commissioning",
    "update": "install, confirm or roll back a version",
    "support-bundle": "one file with all that support needs, without secrets",
    "torture": "kill, cut and disturb on purpose and judge the result",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    _keep_byte_code()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if len(given) == 3 and given[:2] == ["run", "--config"]:  # the usual way, without a parser
            from controller import run

            return run.main(given[2])
        options = _parser().parse_args(given)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _keep_byte_code() -> None:
    """Also where containers switch it off: a start that compiles everything takes half as long again."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _parser() -> argparse.ArgumentParser:
    import argparse  # with gettext a tenth of the time until the guard is started

    parser = argparse.ArgumentParser(
        prog="chargepost",
        description="Controller of an AC charging station.",
        epilog="Start with: chargepost demo",
    )
    parser.add_argument("--version", action="version", version=f"chargepost {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, text: str, command: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        added.set_defaults(command=command, name=name)
        return added

    _config(add("run", "run the station: guard, station and (virtual hardware) the bench", _run))
    _config(add("guard", "run the guard process alone (systemd unit)", _guard))
    _config(add("station", "run the station process alone (systemd unit)", _station))

    demo = add("demo", "run a virtual station with a test backend and a page", _demo)
    demo.add_argument("--once", action="store_true", help="one charge without a person, then end")
    demo.add_argument("--json", action="store_true", help="with --once: one JSON object on stdout")
    demo.add_argument(
        "--protocol",
        metavar="VERSION",
        default="ocpp1.6",
        help="OCPP version: ocpp1.6 is the only one built so far",
    )

    check = add("check", "report every problem of a configuration; writes nothing", _check)
    check.add_argument("config", metavar="FILE", nargs="?", default=_default_config())
    _json(check)

    _json(_config(add("status", "what the station does now, and why", _status)))

    clear = _config(add("clear-fault", "clear a latched fault", _clear_fault))
    clear.add_argument(
        "fault", metavar="NAME", help="as `chargepost status` shows it; `all` for all"
    )
    clear.add_argument("--evse", type=int, default=0, help="default: all EVSEs")

    _add_card(add("card", "the cards of the local list: add, remove or list", lambda _: 2))

    which = _config(add("choose", "say for which EVSE the card at the reader is", _choose))
    which.add_argument("evse", metavar="N", type=int, help="number of the EVSE")

    _config(
        add("safe-outputs", "open all contactors and end all pilot signals, now", _safe_outputs)
    )

    from controller.cli_bench import add_bench

    add_bench(add("bench", "the virtual world: serve it, or act in it", lambda _: 2))

    for name, text in NOT_BUILT_YET.items():
        later = add(name, f"{text} (not built yet)", _not_built_yet)
        later.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    return parser


def _add_card(card: argparse.ArgumentParser) -> None:
    verbs = card.add_subparsers(metavar="VERB", required=True)
    for verb, text in (("add", "put a card on it"), ("remove", "take a card off it")):
        one = verbs.add_parser(verb, help=text)
        one.add_argument("uid", metavar="UID", help="as the reader tells it, e.g. 04A2B3C4")
        _json(_config(one)).set_defaults(command=_card, verb=verb)
    every = _json(_config(verbs.add_parser("list", help="print all cards on it")))
    every.set_defaults(command=_card, verb="list")


def _config(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=_default_config(),
        help="configuration (default %(default)s)",
    )
    return parser


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


def _default_config() -> str:
    return os.environ.get("CHARGEPOST_CONFIG") or DEFAULT_CONFIG


def _run(options: argparse.Namespace) -> int:
    from controller import run

    return run.main(options.config)


def _guard(options: argparse.Namespace) -> int:
    from controller.cli_processes import become

    return become("controller.guard.process", options.config)


def _station(options: argparse.Namespace) -> int:
    from controller.cli_processes import become

    return become("controller.app", options.config)


def _demo(options: argparse.Namespace) -> int:
    if options.once:
        from controller.demo import once

        return once.main(options)
    from controller.demo import interactive

    return interactive.main(options)


def _check(options: argparse.Namespace) -> int:
    from controller.cli_check import check_file

    return check_file(options.config, as_json=options.json)


def _status(options: argparse.Namespace) -> int:
    from controller.cli_status import show

    return show(options.config, as_json=options.json)


def _clear_fault(options: argparse.Namespace) -> int:
    from controller.cli_status import clear

    return clear(options.config, options.fault, options.evse)


def _card(options: argparse.Namespace) -> int:
    from controller import cli_card

    if options.verb == "list":
        return cli_card.show(options.config, as_json=options.json)
    wanted = {options.verb: options.uid}
    return cli_card.change(options.config, **wanted, as_json=options.json)


def _choose(options: argparse.Namespace) -> int:
    from controller.cli_status import choose

    return choose(options.config, options.evse)


def _safe_outputs(options: argparse.Namespace) -> int:
    from controller import safe_outputs
    from controller.compiled import read_source

    return safe_outputs.main(read_source(options.config))


def _not_built_yet(options: argparse.Namespace) -> int:
    print(f"chargepost {options.name}: not built yet", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
