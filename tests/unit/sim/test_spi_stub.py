from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hal.sim.circuit_file import Circuit, CircuitFile, Pulse
from hal.sim.pwm_tree import PwmView, create_chip, export
from hal.sim.spi_stub import Board, SpiStub

MS = 1_000_000
CALM = Circuit(high=6.0, low=-12.0, pp_ohms=220.0)


class Bed:
    def __init__(self, tmp_path):
        self.now = 1000 * MS
        self.file = CircuitFile(tmp_path / "circuit", create=True)
        chip = create_chip(tmp_path, "pwmchip0")
        export(chip, 0)
        self.pwm = chip / "pwm0"
        self.view = PwmView(self.pwm)
        self.gone = False
        self.stub = SpiStub(
            self.file,
            self.view,
            now_ns=lambda: self.now,
            gone=lambda: self.gone,
            rng=random.Random(1),
        )
        self.file.write(CALM)
        self.duty(266_666)

    def duty(self, ns):
        for name, value in (("period", MS), ("duty_cycle", ns), ("enable", 1)):
            with (self.pwm / name).open("r+b") as file:
                file.write(b"%d\n" % value)
        self.now += MS

    def volts(self, channel):
        data = self.stub.xfer2([6 | channel >> 2, (channel & 3) << 6, 0])
        return (((data[1] & 15) << 8 | data[2]) * 3.3 / 4096 - 1.65) * 10

    def window(self):
        self.stub.reset_hold(True)
        self.stub.reset_hold(False)
        self.now += 1_100_000
        return self.volts(0), self.volts(1)


@pytest.fixture
def bed(tmp_path):
    bed = Bed(tmp_path)
    yield bed
    bed.view.close()
    bed.file.close()


@pytest.mark.parametrize("duty_ns", [60_000, 100_000, 533_333, 892_000, 960_000])
def test_both_plateaus_show_at_every_duty(bed, duty_ns):
    bed.duty(duty_ns)
    high, low = bed.window()
    assert high == pytest.approx(6, abs=0.02)
    assert low == pytest.approx(-12, abs=0.02)


def test_static_pilot_has_one_level(bed):
    bed.duty(MS)
    assert bed.window() == pytest.approx((6, 6), abs=0.02)
    bed.duty(0)
    assert bed.window() == pytest.approx((-12, -12), abs=0.02)


def test_a_longer_old_text_behind_the_number_does_not_count(bed):
    bed.duty(MS)
    bed.duty(5)
    assert (bed.pwm / "duty_cycle").read_bytes() == b"5\n00000\n"
    bed.window()
    assert bed.view.high_ns == 5


def test_raw_channel_follows_the_phase(bed):
    bed.now = 5000 * MS + 100_000
    assert bed.volts(2) == pytest.approx(6, abs=0.02)
    bed.now = 5001 * MS + 300_000
    assert bed.volts(2) == pytest.approx(-12, abs=0.02)


def test_mcp3008_answers_the_upper_ten_bits(bed):
    bed.window()
    data = bed.stub.xfer2([1, 8 << 4, 0])
    assert ((data[1] & 3) << 8 | data[2]) == pytest.approx((0.6 + 1.65) * 1024 / 3.3, abs=1)


def test_pp_divider(bed):
    data = bed.stub.xfer2([6, 3 << 6, 0])
    volts = ((data[1] & 15) << 8 | data[2]) * 3.3 / 4096
    assert 1000 * volts / (3.3 - volts) == pytest.approx(220, abs=4)


def test_a_pulse_counts_for_exactly_its_time(bed):
    start = bed.now + 5 * MS
    pulse = Pulse(start_ns=start, end_ns=start + 20 * MS, high=12.0, low=-12.0)
    bed.file.write(replace(CALM, pulses=(pulse,)))
    seen = []
    while bed.now < start + 40 * MS:
        begin = bed.now
        high, _ = bed.window()
        if high > 9:
            seen.append((begin, bed.now))
    assert seen[0][1] > start
    assert seen[-1][0] < start + 20 * MS
    assert seen[-1][1] - seen[0][0] <= (20 + 2 * 1.2 + 1) * MS
    assert len(seen) >= 17


def test_before_a_change_the_old_plateaus_apply(bed):
    change = bed.now + 500 * MS
    bed.file.write(replace(CALM, changed_ns=change, previous_high=9.0, high=12.0))
    assert bed.window()[0] == pytest.approx(9, abs=0.02)
    bed.now = change
    assert bed.window()[0] == pytest.approx(12, abs=0.02)


def test_noise_has_the_given_size(bed):
    bed.file.write(replace(CALM, sigma=0.5))
    bed.window()
    values = [bed.volts(0) for _ in range(2000)]
    mean = sum(values) / len(values)
    assert mean == pytest.approx(6, abs=0.05)
    assert (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5 == pytest.approx(
        0.5, abs=0.05
    )


def test_cut_wires_raise_oserror(bed):
    bed.gone = True
    with pytest.raises(OSError, match="bench is gone"):
        bed.stub.xfer2([6, 0, 0])


def test_the_board_follows_the_driver_tables():
    board = Board.of({"peak_channel": 5, "midpoint": 1.0}, {"channel": 7, "pull_up_ohms": 330})
    assert (board.inputs[5], board.inputs[7], board.midpoint, board.pull_up_ohms) == (
        0,
        3,
        1.0,
        330,
    )
