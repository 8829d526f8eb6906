"""Death at any touch of the disk: after it the old key or certificate counts, or the new one (R16-SEC-3, -7, -8)."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from controller.core.network_profile import NetworkProfile, NetworkState
from controller.security.network_file import NetworkFile
from tests.crash.mortal import DIED, mortal
from tests.unit.security.pki import authority, signed
from tests.unit.security.test_certificates import CSMS, Rig

MOST_TOUCHES = 60
OLD = NetworkProfile(url="ws://b/", identity="CP1", security_profile=1, password=b"o" * 16)
NEW_KEY = "6e" * 20


def dies(work: object, at: int) -> bool:
    """Do `work` in a forked child that dies at its `at`-th touch; False = it came to its end."""
    assert callable(work)
    pid = os.fork()
    if pid == 0:
        try:
            mortal(at)
            work()
        except BaseException as error:  # noqa: BLE001 - the parent must see it
            print(f"child: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, DIED), f"the child failed: {code}"
    return code == DIED


def every_death(start: Path, scratch: Path, work: object) -> list[Path]:
    """The directories that each death left, and the finished one at the end."""
    assert callable(work)
    left = []
    for at in range(1, MOST_TOUCHES):
        directory = scratch / f"at-{at}"
        shutil.copytree(start, directory)
        left.append(directory)
        if not dies(lambda d=directory: work(d), at):
            assert at > 3, "nothing was touched"
            return left
    pytest.fail("it never came to its end")


async def serials(directory: Path) -> list[str]:
    return sorted(n.serial_number for n in await Rig(directory).names(CSMS))


def test_r16_sec_8_installing_a_root(tmp_path: Path) -> None:
    old = authority("old")
    new = authority("new", old)
    start = tmp_path / "start"
    asyncio.run(Rig(start).service.install(CSMS, old.pem))
    before = [f"{old.certificate.serial_number:x}"]
    after = sorted([*before, f"{new.certificate.serial_number:x}"])

    def install(directory: Path) -> None:
        asyncio.run(Rig(directory).service.install(CSMS, new.pem))

    left = every_death(start, tmp_path, install)
    found = [asyncio.run(serials(directory)) for directory in left]
    assert found[-1] == after
    assert all(serials_ in (before, after) for serials_ in found)
    assert found[0] == before
    for directory in left:
        rig = Rig(directory)
        assert asyncio.run(rig.service.install(CSMS, new.pem)) == "Accepted", "it still works"


def test_r16_sec_7_accepting_a_certificate(tmp_path: Path) -> None:
    root = authority()
    start = tmp_path / "start"

    async def prepare() -> str:
        rig = Rig(start)
        await rig.service.install(CSMS, root.pem)
        csr = await rig.service.make_request()
        assert csr is not None
        return signed(csr, root)

    chain = asyncio.run(prepare())

    def accept(directory: Path) -> None:
        assert asyncio.run(Rig(directory).service.accept_signed(chain))

    left = every_death(start, tmp_path, accept)
    found = [asyncio.run(Rig(d).service.has_station_certificate()) for d in left]
    assert found[0] is False
    assert found[-1] is True
    assert found == sorted(found), "no death takes it away again"
    for directory in left:
        assert asyncio.run(Rig(directory).service.accept_signed(chain)), "it still works"


def test_r16_sec_3_changing_the_key(tmp_path: Path) -> None:
    start = tmp_path / "start"
    NetworkFile(start).save(NetworkState.first(OLD))

    def change(directory: Path) -> None:
        store = NetworkFile(directory)
        state = store.load()
        assert state is not None
        store.save(state.with_password(bytes.fromhex(NEW_KEY)))

    left = every_death(start, tmp_path, change)
    states = [NetworkFile(directory).load() for directory in left]
    assert all(state is not None and state.current == OLD for state in states)
    candidates = [state.candidate is not None for state in states if state is not None]
    assert candidates[0] is False
    assert candidates[-1] is True
    assert candidates == sorted(candidates)
    for directory in left:
        for file in directory.iterdir():
            assert file.stat().st_mode & 0o077 == 0, "a key lies open"


def test_the_first_file_of_all(tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.mkdir()
    left = every_death(start, tmp_path, lambda d: NetworkFile(d).save(NetworkState.first(OLD)))
    found = [NetworkFile(directory).load() for directory in left]
    assert set(found) == {None, NetworkState.first(OLD)}


def test_a_broken_file_is_kept_aside_and_the_configuration_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "network.json").write_text('{"current": ')
    assert NetworkFile(tmp_path).load() is None
    assert (tmp_path / "network.json.corrupt").exists()
    assert "cannot be read" in caplog.text
