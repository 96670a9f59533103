"""Stored variants of a segment: the sound against numpy by hand, what is stored, what training draws."""

import logging
import pickle
import sqlite3
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import freqz

from britekit import commands
from britekit.annotations.classes import read_classes
from britekit.audio.spectrogram import compute_spectrograms
from britekit.database.session import open_database
from britekit.datasets import waveform_variants as variants
from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches, plain_batches
from britekit.datasets.extraction import build_training_database
from britekit.datasets.pickling import write_training_pickle
from britekit.datasets.training_set import TrainingSet, read_training_set
from britekit.errors import ConfigError, InputError
from britekit.training import preparation
from tests.datasets.conftest import RATE, small_config, write_recording

DB = Path("data/training.db")


def build(count=2, noise=None):
    cfg = small_config(pipeline={"extract_variants": count, "variant_noise": noise})
    return build_training_database(cfg, Path("data/recordings"), Path("data/classes.csv"), None, DB)


def rows(query):
    connection = sqlite3.connect(DB)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def values(group):
    return rows(
        "SELECT FileName, Offset, Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID JOIN Recording ON "
        f"Recording.ID = RecordingID JOIN SpecGroup ON SpecGroup.ID = SpecGroupID WHERE SpecGroup.Name = '{group}' "
        "ORDER BY FileName, Offset"
    )


def to_pickle(path="t.pkl"):
    with open_database(DB) as session:
        write_training_pickle(session, path, 32, 32, read_classes(Path("data/classes.csv")))
    return read_training_set(path)


@pytest.fixture
def noise(project):
    write_recording(Path("noise/deep/wind.wav"), 3.0, seed=50, hz=200)
    soundfile.write("noise/silence.wav", np.zeros(2 * RATE), RATE)
    return "noise"


@pytest.mark.parametrize("delay", [0, 5])
def test_a_room_is_numpys_convolution(delay):
    rng = np.random.default_rng(1)
    waveform, response = rng.normal(size=300), rng.normal(size=40)
    by_hand = [
        sum(response[k] * waveform[n + delay - k] for k in range(40) if 0 <= n + delay - k < 300) for n in range(300)
    ]
    assert variants.convolve(waveform, response, delay) == pytest.approx(by_hand, abs=1e-9)


def test_a_filter_has_the_drawn_gains():
    hertz, gains = variants.draw_gains(np.random.default_rng(3), 22050)
    assert hertz[-1] == 11025 and hertz[1:] / hertz[:-1] == pytest.approx(2) and hertz[0] >= 50
    response = variants.filter_response((hertz, gains), 22050)
    above = hertz > 600  # 256 samples resolve 86 Hz
    _, found = freqz(response, worN=hertz[above][:-1], fs=22050)
    assert 20 * np.log10(np.abs(found)) == pytest.approx(gains[above][:-1], abs=1.0)
    # Linear phase: a tone comes out in place once the delay is taken away.
    times = np.arange(4000) / 22050
    flat = variants.filter_response((hertz, np.zeros(len(hertz))), 22050)
    tone = np.sin(2 * np.pi * 1000 * times)
    assert variants.convolve(tone, flat, 128)[300:-300] == pytest.approx(tone[300:-300], abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_an_echo_follows_the_direct_sound(seed):
    response = variants.room_response(np.random.default_rng(seed), 16000)
    assert response[0] == 1.0 and not response[1:79].any()
    assert 0.1 <= len(response) / 16000 <= 0.6
    assert -18.001 <= 10 * np.log10(np.sum(response[1:] ** 2)) <= -2.999
    third = len(response) // 3
    early, late = (np.mean(part**2) for part in (response[80 : 80 + third], response[-third:]))
    assert late < 0.05 * early  # 60 dB over the whole length


def test_a_variant_is_filter_room_gain_and_noise():
    rng = np.random.default_rng(8)
    waveform, noise = (rng.normal(size=4000).astype(np.float32) for _ in range(2))
    found = variants.vary(np.random.default_rng(2), waveform, RATE, noise)
    draws = np.random.default_rng(2)
    response = variants.filter_response(variants.draw_gains(draws, RATE), RATE)
    filtered = np.convolve(waveform, response)[128:4128]
    heard = np.convolve(filtered, variants.room_response(draws, RATE))[:4000]
    gain, level = draws.uniform(-6, 6), draws.uniform(-20, 0)
    assert found.dtype == np.float32
    by_hand = heard * 10 ** (gain / 20) + noise * (waveform.std() / noise.std()) * 10 ** (level / 20)
    assert found == pytest.approx(by_hand, abs=0.02)  # std takes away a mean of about 0.01
    alone = variants.vary(np.random.default_rng(2), waveform, RATE, None)
    assert alone == pytest.approx(heard * 10 ** (gain / 20), abs=1e-5)
    ratio = 20 * np.log10(np.sqrt(np.mean((found - alone) ** 2)) / np.sqrt(np.mean(waveform**2)))
    assert ratio == pytest.approx(level, abs=1e-3)


def test_variants_are_stored_beside_the_segments(noise):
    build(0)
    plain = values("default")
    assert [name for (name,) in rows("SELECT Name FROM SpecGroup")] == ["default"]
    found = build(2, noise)
    assert (found.segments, found.failures) == (24, [])
    assert values("default") == plain
    first, second = values("default-variant-1"), values("default-variant-2")
    assert [row[:2] for row in first] == [row[:2] for row in second] == [row[:2] for row in plain]
    assert all(len({a[2], b[2], c[2]}) == 3 for a, b, c in zip(plain, first, second))
    once = DB.read_bytes()
    build(2, noise)
    assert DB.read_bytes() == once


def test_a_stored_variant_is_the_spectrogram_of_the_varied_sound(project):
    build(2)
    name, offset, value = values("default-variant-2")[5]
    sound, rate = soundfile.read(next(Path("data/recordings").rglob(name)), dtype="float32")
    rng = np.random.default_rng((zlib.crc32(name.encode()), 0, round(1000 * offset), 1))
    varied = variants.vary(rng, sound[round(offset * rate) :][:rate], rate, None)
    image = compute_spectrograms(varied, [0.0], small_config().audio)[0][0]
    levels = np.frombuffer(zlib.decompress(value), np.uint8).reshape(32, 32)
    assert np.abs(levels - 255.0 * image).max() <= 0.51


def test_a_training_file_holds_the_variants(noise, caplog):
    build(0)
    to_pickle("plain.pkl")
    assert "spec_variants" not in pickle.loads(Path("plain.pkl").read_bytes())
    build(2, noise)
    samples = to_pickle()
    assert samples.variants.shape == (2, 24, 32, 32)
    plain = read_training_set("plain.pkl")
    assert plain.variants is None and np.array_equal(samples.images, plain.images)
    by_place = {row[:2]: row[2] for row in values("default-variant-2")}
    where = rows("SELECT Segment.ID, FileName, Offset FROM Segment JOIN Recording ON Recording.ID = RecordingID")
    names = {segment: place for segment, *place in where}
    for number, segment in enumerate(samples.segment_ids.tolist()):
        stored = zlib.decompress(by_place[tuple(names[segment])])
        assert samples.variants[1, number].tobytes() == stored
    with sqlite3.connect(DB) as connection:  # as after `add`, which stores no variants
        connection.execute("DELETE FROM SpecValue WHERE ID = (SELECT max(ID) FROM SpecValue)")
    with caplog.at_level(logging.WARNING):
        lacking = to_pickle()
    assert "1 of 24 segments" in caplog.text and "default-variant-2" in caplog.text
    same = [np.array_equal(a, b) for a, b in zip(lacking.variants[1], lacking.images)]
    assert same.count(True) == 1


def test_a_wrong_number_of_variants_is_named(project):
    build(1)
    to_pickle()
    content = pickle.loads(Path("t.pkl").read_bytes())
    content["spec_variants"].pop()
    Path("t.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match='"spec_variants": it has 23 entries, expected a multiple of the 24'):
        read_training_set("t.pkl")


def test_noise_that_cannot_be_read_is_reported(noise, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    Path("noise/broken.wav").write_bytes(b"RIFFnothing")
    found = build(1, noise)
    assert [path.name for path, _ in found.failures] == ["broken.wav"] and found.segments == 24
    Path("noise/deep/wind.wav").unlink()
    with pytest.raises(InputError, match="pipeline.variant_noise: no recording in noise gives background noise"):
        build(1, noise)
    with pytest.raises(InputError, match="does not exist"):
        build(1, "elsewhere")
    Path("params.yaml").write_text("pipeline: {variant_noise: noise}\n")
    with pytest.raises(ConfigError, match="needs variants; set extract_variants"):
        commands.extract()


def samples_of(count, kinds):
    """Sample n is filled with n, its variant k with 100 k + n."""
    numbers = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)
    varied = np.stack([numbers + np.uint8(100 * (kind + 1)) for kind in range(kinds)])
    return TrainingSet([], numbers, np.ones((count, 1), np.uint8), np.arange(count), variants=varied)


def test_training_draws_a_segment_or_its_variants_alike_often():
    bank = Bank(samples_of(10, 2))
    index = torch.arange(10).repeat(300)
    batches = TrainingBatches(bank, torch.arange(10), 5, seed=3)
    batches.begin_epoch(0)
    images = (batches.make(index).images[:, 0] * 255).round().long()
    assert (images == images[:, :1, :1]).all()
    found = images[:, 0, 0]
    assert torch.equal(found % 100, index)
    shares = torch.bincount(found // 100, minlength=3) / len(index)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.05)
    # Held-out samples are what they are.
    plain = torch.cat([batch.images for batch in plain_batches(bank, torch.arange(10), 4)])
    assert (plain[:, 0, 0, 0] * 255).round().tolist() == list(range(10))


def test_processes_of_a_machine_share_the_variants(project):
    build(2)
    alone = to_pickle()
    cfg = small_config()
    told, found = {}, {}
    meet = threading.Barrier(2)

    class World:
        size, node = 2, "here"

        def __init__(self, rank):
            self.local_rank = rank

        def from_all(self, value):
            told[self.local_rank] = value
            meet.wait()
            values = [("here" if value is None else v[0], v[1] if v else None) for v in (told[0], told[1])]
            meet.wait()
            return values

    def run(rank):
        found[rank] = preparation.share_samples("t.pkl", cfg, "train.train_pickle", World(rank))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank in range(2):
        assert np.array_equal(found[rank].images, alone.images)
        assert np.array_equal(found[rank].variants, alone.variants)
