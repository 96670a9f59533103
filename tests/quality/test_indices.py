"""Acoustic indices against scikit-maad: a table made by it, and live where it is installed."""

import csv
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from britekit.audio.decoding import read_audio
from britekit.quality.indices import INDICES, Bands, Indices, unavailable

HERE = Path(__file__).parent
DATA = Path(os.environ.get("BRITEKIT_DATA") or HERE.parents[2] / "shared" / "data") / "field"
_spec = importlib.util.spec_from_file_location("made_by_maad", HERE / "made_by_maad.py")
maad = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(maad)
# Bands as scikit-maad has them if it is not asked for others.
MAAD = Bands(
    (0.0, 20_000.0, 1000.0), (0.0, 20_000.0, 500.0), 50.0, (2000.0, 15_000.0), (0.0, 1000.0), (1000.0, 10_000.0)
)
BANDS = {"papers": Bands(), "maad": MAAD}
with open(HERE / "maad.csv", encoding="utf-8", newline="") as _file:
    TABLE = list(csv.DictReader(_file))
SIGNALS = {name: (rate, samples) for name, rate, samples in maad.signals()}


def computed(samples, rate, bands, size=441_000):
    indices = Indices(rate, bands)
    for at in range(0, len(samples), size):
        indices.push(samples[at : at + size])
    return indices.finish()


def signal_of(name):
    if name in SIGNALS:
        return SIGNALS[name]
    if not (path := DATA / name).is_file():
        pytest.skip("the real recordings are not here")
    wave = read_audio(path)
    return wave.rate, wave.samples[0]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['signal']}-{row['bands']}")
def test_indices_equal_scikit_maads(row):
    rate, samples = signal_of(row["signal"])
    found = computed(samples, rate, BANDS[row["bands"]])
    assert list(found) == list(INDICES)
    for name in INDICES:
        if row[name]:
            assert found[name] == pytest.approx(float(row[name]), abs=1e-5, rel=0), name
        else:
            assert found[name] is None, name


@pytest.mark.skipif(importlib.util.find_spec("maad") is None, reason="scikit-maad is not installed")
@pytest.mark.parametrize("name", SIGNALS)
def test_the_table_is_what_scikit_maad_gives_now(name):
    rate, samples = SIGNALS[name]
    for bands in BANDS:
        row = next(row for row in TABLE if (row["signal"], row["bands"]) == (name, bands))
        for each, value in maad.indices(samples, rate, bands).items():
            assert value == pytest.approx(float(row[each]), abs=1e-4, rel=1e-4)


def test_blocks_of_any_size_give_the_same():
    rate, samples = SIGNALS["calls 22050"]
    whole = computed(samples, rate, Bands(), len(samples))
    for size in (333, 1024, 100_000):
        assert computed(samples, rate, Bands(), size) == pytest.approx(whole, rel=1e-6)


def test_bands_above_half_the_rate_are_named_and_empty():
    rate, samples = SIGNALS["calls 8000"]
    found = computed(samples, rate, Bands())
    assert {name for name in INDICES if found[name] is None} == set(unavailable(8000)) == {"ADI", "AEI", "BI", "NDSI"}
    assert unavailable(8000)["NDSI"] == "needs frequencies up to 11 kHz; 8000 Hz reaches 4 kHz"
    assert unavailable(22_050) == {}
    assert set(unavailable(20_000)) == {"NDSI"}


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1536])
def test_short_and_silent_segments_are_empty_not_zero(count):
    found = computed(np.random.default_rng(1).normal(0, 0.1, count).astype(np.float32), 44_100, Bands())
    assert (found["Hf"] is None) == (count < 1024)
    assert (found["ACI"] is None) == (count < 1536)
    assert set(computed(np.zeros(count, np.float32), 44_100, Bands()).values()) == {None}
    assert set(computed(np.full(count, 0.25, np.float32), 44_100, Bands()).values()) == {None}
