import hashlib
import signal as signals
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

import britekit
from britekit.annotations.classes import read_classes
from britekit.annotations.segments import read_annotations
from britekit.collect.sample import plan_test, plan_training, write_samples
from britekit.collect.synth import calls
from britekit.collect.synth.soundscape import Bout, synthesize
from britekit.collect.synth.species import SPECIES, find_species, first_species
from britekit.errors import InputError

RATE = calls.RATE


def digest(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    assert write_samples(root / "a", classes=2, recordings=3, test=2, seed=7) == (9, 2)
    return root


def test_the_tree(written):
    found = sorted(digest(written / "a"))
    assert found[0] == "classes.csv" and "recordings/recordings.csv" in found and "test/annotations.csv" in found
    assert [info.name for info in read_classes(written / "a/classes.csv")] == [
        "Silver Triller",
        "Rising Whistler",
        "Noise",
    ]
    for name in ("Silver Triller/SITR", "Rising Whistler/RIWH", "Noise/NOIS"):
        assert f"recordings/{name}-0003.flac" in found
    codes = {item.label for item in read_annotations(written / "a/test/annotations.csv")}
    assert codes == {"SITR", "RIWH"}


def test_equal_seeds_give_equal_bytes_and_others_do_not(written):
    write_samples(written / "b", classes=2, recordings=3, test=2, seed=7)
    assert digest(written / "b") == digest(written / "a")
    write_samples(written / "c", classes=2, recordings=3, test=2, seed=8)
    same = {name for name, value in digest(written / "c").items() if value == digest(written / "a")[name]}
    assert same == {"classes.csv", "recordings/recordings.csv"}


def test_asking_for_more_keeps_the_first(written):
    write_samples(written / "d", classes=3, recordings=4, test=0, seed=7)
    few, many = digest(written / "a"), digest(written / "d")
    for name in (name for name in few if name.startswith("recordings/") and name.endswith(".flac")):
        assert many[name] == few[name]


def test_repeating_is_harmless_and_other_content_is_kept(written):
    before = digest(written / "a")
    write_samples(written / "a", classes=2, recordings=3, test=2, seed=7)
    assert digest(written / "a") == before
    with pytest.raises(InputError, match="exist with different content"):
        write_samples(written / "a", classes=2, recordings=3, test=2, seed=8)
    assert digest(written / "a") == before


@pytest.mark.parametrize("change", [{"classes": 0}, {"classes": 11}, {"recordings": 0}, {"test": -1}, {"seed": -1}])
def test_impossible_numbers(tmp_path, change):
    with pytest.raises(InputError, match="expected"):
        write_samples(tmp_path / "x", **change)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("species", SPECIES, ids=lambda species: species.info.code)
def test_calls_are_short_finite_and_within_the_band(species):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        call = species.call(rng, calls.draw_individual(rng))
        assert call.dtype == np.float32 and 0.25 * RATE < call.size < 2.5 * RATE
        assert np.sqrt(np.mean(call.astype(float) ** 2)) == pytest.approx(1, rel=1e-3)
        frequency, power = signal.welch(call, RATE, nperseg=2048)
        inside = power[(frequency > 100) & (frequency < 8000)].sum() / power.sum()
        assert inside > 0.9


def test_sweeps_rise_and_fall_and_trills_keep_their_rates():
    one = calls.Individual(1.0, 1.0, 0.0)
    rng = np.random.default_rng(0)
    for rising in (True, False):
        call = calls.sweep(rng, one, rising)[: round(0.3 * RATE)]
        half = call.size // 2
        center = [
            np.average(np.fft.rfftfreq(x.size), weights=np.abs(np.fft.rfft(x))) for x in (call[:half], call[half:])
        ]
        assert (center[1] > center[0]) == rising
    for rate in (20.0, 11.5):
        loudness = np.abs(signal.hilbert(calls.trill(rng, one, rate))) ** 2
        spectrum = np.abs(np.fft.rfft(loudness - loudness.mean(), 1 << 18))
        frequency = np.fft.rfftfreq(1 << 18, 1 / RATE)
        slow = (frequency > 5) & (frequency < 40)
        assert frequency[slow][spectrum[slow].argmax()] == pytest.approx(rate, rel=0.05)


@pytest.mark.parametrize("species", SPECIES[:6], ids=lambda species: species.info.code)
def test_annotations_lie_where_the_sound_is(species):
    bout = Bout(species, 2.0, 18.0, (40.0, 40.0))
    rng = np.random.default_rng(3)
    samples, soundings = synthesize(rng, 20.0, [bout])
    assert len(soundings) >= 3 and np.max(np.abs(samples)) < 1
    time = np.arange(samples.size) / RATE
    inside = np.zeros(samples.size, bool)
    echo = np.zeros(samples.size, bool)
    for item in soundings:
        assert 2.0 <= item.start_s < item.end_s <= 18.0
        inside |= (time >= item.start_s) & (time < item.end_s)
        echo |= (time >= item.end_s) & (time < item.end_s + 0.3)
    quiet = ~inside & ~echo
    assert np.mean(samples[inside] ** 2) > 100 * np.mean(samples[quiet] ** 2)


def test_plans():
    train = list(plan_training(SPECIES[0], 40, 1))
    assert len({item.stem for item in train}) == 40
    assert all(5 <= item.seconds <= 10 for item in train)
    test = list(plan_test(first_species(6), 13, 1))
    assert [len(item.bouts) for item in test].count(0) == 1
    assert all(45 <= item.seconds <= 60 for item in test)
    callers = [bout.species.info.code for item in test for bout in item.bouts]
    assert min(callers.count(species.info.code) for species in SPECIES[:6]) >= 5
    assert all(len({bout.species.info.code for bout in item.bouts}) > 1 for item in test if item.bouts)


def test_silent_recordings_stay_in_the_test(tmp_path):
    recording = [item for item in plan_test(first_species(2), 13, 1) if not item.bouts][0]
    annotations = recording.write(tmp_path / "x.flac")
    assert [(item.label, item.start, item.end) for item in annotations] == [("", 0.0, 0.0)]
    assert soundfile.info(tmp_path / "x.flac").duration == pytest.approx(recording.seconds, abs=1e-3)


def test_names_and_codes_find_species():
    assert find_species("SITR") is SPECIES[0] and find_species("Noise") is None
    with pytest.raises(InputError, match='did you mean "Log Drummer"'):
        find_species("Log Drumer")
    assert len({species.info.code for species in SPECIES}) == len(SPECIES)


def test_a_killed_run_leaves_nothing_half_written(tmp_path):
    command = [sys.executable, "-m", "britekit", "sample", "-o", str(tmp_path), "--recordings", "30"]
    process = subprocess.Popen(command, cwd=Path(britekit.__file__).parents[1], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".recordings.*.partial/*/*.flac")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signals.SIGKILL)
    process.wait()
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
    write_samples(tmp_path, classes=1, recordings=1, test=1)
    assert len(list((tmp_path / "recordings").rglob("*.flac"))) == 2
