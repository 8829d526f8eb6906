"""`run_harness.py CONFIG DIR NAME…`: `chargepost run` whose processes NAME… are stand-ins."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from controller import run
from controller.children import ChildPlan

config, directory, stubs = sys.argv[1], sys.argv[2], sys.argv[3:]
real_plans = run.plans


def plans(path: Path, installation: object) -> dict[str, ChildPlan]:
    found = real_plans(path, installation)  # type: ignore[arg-type]
    script = str(Path(__file__).with_name("run_child.py"))
    for name in stubs:
        argv = (sys.executable, "-P", script, name, directory)
        found[name] = found[name]._replace(argv=argv)
    return found


run.plans = plans
run.RESTART_FIRST_S = 0.2
run.BENCH_LINGER_S = 0.4
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
sys.exit(run.main(config))
