"""Energy: counters of a made-up powercap folder, which start again at 0, are missing, or may not be read."""

import pytest
import torch

from britekit.training import energy
from britekit.training.energy import EnergyMeter, cards_of

LARGEST = 262_143_328_850


@pytest.fixture
def powercap(tmp_path):
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):  # two packages, and a part of the first
        (tmp_path / name).mkdir()
        (tmp_path / name / "max_energy_range_uj").write_text(f"{LARGEST}\n")
        (tmp_path / name / "energy_uj").write_text("1000000\n")
    return tmp_path


def use(powercap, package, microjoules):
    (powercap / f"intel-rapl:{package}" / "energy_uj").write_text(f"{microjoules}\n")


def test_packages_are_added_up_and_their_parts_are_not(powercap):
    meter = EnergyMeter(powercap=powercap)
    use(powercap, 0, 4_000_000)
    use(powercap, 1, 1_500_000)
    use(powercap, "0:0", 9_000_000)
    assert meter.stop() == 3.5
    meter.start()
    assert meter.stop() == 0


def test_a_counter_that_starts_again_at_0(powercap, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(energy.time, "monotonic", lambda: now[0])
    use(powercap, 0, LARGEST - 2_000_000)
    meter = EnergyMeter(powercap=powercap)
    # It passes 0 twice, which only readings in between can tell.
    for value in (5_000_000, LARGEST - 1_000_000, 3_000_000):
        now[0] += 61
        use(powercap, 0, value)
        meter.tick()
    expected = (2_000_000 + 5_000_000) + (LARGEST - 6_000_000) + 4_000_000
    assert meter.stop() == pytest.approx(expected / 1e6)


def test_nothing_is_read_before_it_is_due(powercap, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(energy.time, "monotonic", lambda: now[0])
    meter = EnergyMeter(powercap=powercap)
    (powercap / "intel-rapl:0/energy_uj").unlink()
    now[0] = 59
    meter.tick()
    use(powercap, 0, 2_000_000)
    assert meter.stop() == 1


@pytest.mark.parametrize("content", [None, "", "many"])
def test_without_readable_counters_nothing_is_measured(powercap, content):
    path = powercap / "intel-rapl:1/energy_uj"
    path.unlink() if content is None else path.write_text(content)
    assert EnergyMeter(powercap=powercap).stop() is None
    assert EnergyMeter(powercap=powercap / "absent").stop() is None


def test_a_card_that_cannot_be_read_is_not_left_out(powercap):
    # No NVIDIA driver, or no card of this name: the processors alone would be too little.
    assert EnergyMeter(("GPU-00000000-0000-0000-0000-000000000000",), powercap).stop() is None


def test_no_cards_on_a_processor():
    assert cards_of(torch.device("cpu"), 2) == ()
