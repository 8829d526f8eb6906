"""`python -m tests.bench [--count N] [PART …]`: the numbers the project holds itself to."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.bench.table import Row, show

PARTS = ("reaction", "deaths", "start", "idle", "latency", "queue", "torture")


async def measure(part: str, count: int) -> list[Row]:
    """The rows of one part; each part imports only what it needs."""
    if part == "reaction":
        from tests.bench import reaction

        return await reaction.measure(count)
    if part == "deaths":
        from tests.bench import reaction

        return await reaction.deaths()
    if part == "queue":
        from tests.bench import queue

        return await queue.measure()
    if part == "torture":
        from tests.bench import torture

        return await torture.measure(min(200, max(12, count)))
    from tests.bench import station

    if part == "start":
        return await station.start_up()
    if part == "idle":
        return await station.idle(30.0)
    return await station.latencies(max(5, count // 4))


def main() -> int:
    """Print the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("parts", nargs="*", default=PARTS, choices=[*PARTS, []])
    parser.add_argument(
        "--count", type=int, default=60, help="repetitions of a reaction (1000 = full)"
    )
    arguments = parser.parse_args()
    rows: list[Row] = []
    for part in arguments.parts:
        print(f"… {part}", file=sys.stderr, flush=True)
        rows += asyncio.run(measure(part, arguments.count))
    print(show(rows))
    return int(any(row.ok is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
