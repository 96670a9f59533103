"""The occurrence data that HawkEars ships (MIT): read here as numpy, and as public britekit, reads it.

BRITEKIT_HAWKEARS names its wheel (2.3.0), BRITEKIT_PUBLIC a Python with public britekit 1.8.4.
"""

import io
import json
import os
import pickle
import subprocess
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

import britekit as bk

WHEEL, PUBLIC = os.environ.get("BRITEKIT_HAWKEARS"), os.environ.get("BRITEKIT_PUBLIC")
pytestmark = pytest.mark.skipif(not WHEEL, reason="BRITEKIT_HAWKEARS names no wheel of HawkEars")
# Runs in both packages: calls as a JSON list, answers as repr, so that types count too.
ASK = """
import json, sys
import britekit as bk
provider = bk.OccurrencePickleProvider(sys.argv[1])
print(json.dumps([repr(provider.occurrence_value(*call)) for call in json.load(sys.stdin)]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hawkears")
    with zipfile.ZipFile(WHEEL) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("occurrence.zip"))
        with zipfile.ZipFile(io.BytesIO(wheel.read(name))) as inner:
            inner.extractall(folder)
    path = folder / "occurrence.pkl"
    return SimpleNamespace(path=path, provider=bk.OccurrencePickleProvider(path), plain=pickle.loads(path.read_bytes()))


def test_all_of_it_is_read(data):
    ours, plain = data.provider.data, data.plain
    assert ours.keys() == plain.keys() and len(plain["values"]) > 300_000
    for key, value in plain.items():
        if isinstance(value, np.ndarray):
            assert ours[key].dtype == value.dtype and ours[key].shape == value.shape
            assert ours[key].tobytes() == value.tobytes()
        else:
            assert ours[key] == value and type(ours[key]) is type(value)


def test_values_by_place_and_week(data):
    plain, random = data.plain, np.random.default_rng(1)
    names = plain["class_names"]
    for area in random.integers(0, len(plain["areas"]), 200):
        code, first, past = plain["areas"][area][0], *plain["area_offsets"][area : area + 2]
        for row in random.integers(first, past, 5) if past > first else ():
            values, name = plain["values"][row], names[plain["class_indices"][row]]
            week = int(random.integers(48))
            around = [values[week - 1], values[week], values[(week + 1) % 48]]
            expected = np.nan if np.isnan(around).any() else max(around)
            _, _, found = data.provider.occurrence_value(name, True, code, week_num=week)
            assert found == expected or (np.isnan(found) and np.isnan(expected))
    assert data.provider.find_county(45.4, -75.7).code == "CA-ON-OT"
    assert data.provider.occurrence_value("Common Loon", latitude=40, longitude=-60) == (False, True, None)


@pytest.mark.skipif(not PUBLIC, reason="BRITEKIT_PUBLIC names no Python with public britekit 1.8.4")
def test_same_values_as_public_britekit(data):
    random = np.random.default_rng(2)
    codes, names = [area[0] for area in data.plain["areas"]], [*data.plain["class_names"], "Nobody"]
    calls = []
    for _ in range(20_000):
        region = str(random.choice([*codes, "CA-ON", "US-NY"], p=None)) if random.random() < 0.7 else None
        place = [None, None] if region else [random.uniform(40, 70), random.uniform(-140, -55)]
        week = None if random.random() < 0.1 else int(random.integers(48))
        calls.append([str(random.choice(names)), bool(random.random() < 0.5), region, *place, week])
    run = [PUBLIC, "-c", ASK, data.path]
    there = subprocess.run(
        run, input=json.dumps(calls), capture_output=True, text=True, check=True, cwd=data.path.parent
    )
    answers = json.loads(there.stdout.splitlines()[-1])
    for call, answer in zip(calls, answers, strict=True):
        assert repr(data.provider.occurrence_value(*call)) == answer, call
