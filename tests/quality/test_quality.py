"""Faults, levels, wind and rain of sounds whose answer is known, and the tables of audio-info --quality."""

import csv

import numpy as np
import pytest
import soundfile

from britekit.audio.decoding import AudioReader
from britekit.audio.file_check import inspect_recording
from britekit.cli import main
from britekit.quality.measuring import CHANNEL_COLUMNS, SEGMENT_COLUMNS, QualityMeter
from britekit.quality.report import quality_tables
from britekit.quality.spectra import OCTAVES_HZ, Spectra

RATE = 22_050
RNG = np.random.default_rng(5)
STEADY = RNG.normal(0, 0.05, 20 * RATE).clip(-0.9, 0.9).astype(np.float32)
# Louder every other quarter of a second: steady noise is what rain sounds like.
NOISE = STEADY * np.where(np.arange(len(STEADY)) // (RATE // 4) % 2, 1, 0.3).astype(np.float32)


def measured(tmp_path, samples, rate=RATE, per_s=5.0, subtype="PCM_16", block_s=10.0, name="x.wav"):
    soundfile.write(tmp_path / name, samples, rate, subtype=subtype)
    with AudioReader(tmp_path / name) as reader:
        meter = QualityMeter(reader, per_s)
        for block in reader.blocks(block_s):
            meter.push(block)
        return meter.finish()


def test_clipping_is_counted_with_its_runs(tmp_path):
    sound = NOISE.copy()
    sound[100:105], sound[300:303], sound[500], sound[9000:9002] = 1.0, -1.0, 1.0, -1.0
    channel = measured(tmp_path, sound).channels[0]
    summary = channel.summary
    assert summary["clipped"] * len(sound) == pytest.approx(11)
    assert (summary["clipped_runs"], summary["longest_clip_ms"]) == (2, pytest.approx(5000 / RATE))
    assert channel.problems == []  # eleven of 441,000 samples
    sound[2000:2100] = 1.0
    assert measured(tmp_path, sound).channels[0].problems == ["clipped: 0.025 % of samples"]


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW"])
def test_full_scale_depends_on_the_coding(tmp_path, subtype):
    sound = np.clip(NOISE * 40, -1, 1)
    found = measured(tmp_path, sound, subtype=subtype).channels[0].summary["clipped"]
    stored, _ = soundfile.read(tmp_path / "x.wav")
    assert found == pytest.approx((np.abs(sound) >= 1).mean(), rel=0.05), np.abs(stored).max()


@pytest.mark.parametrize("block_s", [10.0, 0.0007, 0.09])
def test_dropouts_are_runs_of_one_value(tmp_path, block_s):
    sound = np.tile(NOISE[: 2 * RATE], 1)
    sound[1000:1500], sound[20_000:20_220], sound[30_000:30_221] = 0, 0.25, -0.5
    sound[-400:] = 0
    summary = measured(tmp_path, sound, per_s=1.0, block_s=block_s).channels[0].summary
    # 10 ms are 220.5 samples, rounded to 220.
    assert (summary["dropouts"], summary["first_dropout_s"]) == (4, pytest.approx(1000 / RATE))
    assert summary["dropout_s"] == pytest.approx((500 + 220 + 221 + 400) / RATE)
    assert summary["longest_dropout_s"] == pytest.approx(500 / RATE)


def test_dropouts_are_told_apart_from_clipping_and_from_short_runs(tmp_path):
    sound = NOISE[: 2 * RATE].copy()
    sound[1000:1219], sound[5000:6000] = 0.1, 1.0
    found = measured(tmp_path, sound).channels[0]
    assert found.summary["dropouts"] == 0 and found.summary["clipped_runs"] == 1


def test_dropouts_that_are_counted_but_not_placed_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("britekit.quality.faults._MOST_RUNS", 2)
    sound = NOISE[: 2 * RATE].copy()
    for start in (1000, 5000, 9000):
        sound[start : start + 300] = 0
    (problem,) = measured(tmp_path, sound).channels[0].problems
    assert problem.startswith("dropouts: 3, ") and problem.endswith("; over time, only the first 2 are shown")


def test_dead_channels_hold_silence_offset_hum_or_one_value(tmp_path):
    time = np.arange(5 * RATE) / RATE
    hum = sum(0.1 / k * np.sin(2 * np.pi * 50 * k * time) for k in (1, 2, 3, 5))
    dither = np.random.default_rng(1).uniform(-1, 1, len(time)) / 2**15
    call = 0.01 * np.sin(2 * np.pi * 3333 * time) * (time > 4)
    for sound, dead in ((0 * time, True), (0 * time + 0.3, True), (dither, True), (hum, True), (hum + call, False)):
        assert (measured(tmp_path, sound, subtype="FLOAT").channels[0].problems == ["dead"]) == dead
    found = measured(tmp_path, np.stack([NOISE, 0 * NOISE], 1))
    assert [each.problems for each in found.channels] == [[], ["dead"]]


def test_equal_and_inverted_channels_are_named(tmp_path):
    other = NOISE[::-1] + 0.001 * STEADY
    found = measured(tmp_path, np.stack([NOISE, NOISE, -NOISE, NOISE + 1e-4 * other, other], 1))
    problems = [each.problems for each in found.channels]
    assert problems[0][:2] == ["identical to channel 2", "inverted against channel 3"]
    assert problems[3] == [
        "nearly identical to channel 1",
        "nearly identical to channel 2",
        "inverted against channel 3",
    ]
    assert problems[4] == []


def test_levels_are_mean_squares_without_offset(tmp_path):
    time = np.arange(10 * RATE) / RATE
    found = measured(tmp_path, (0.5 * np.sin(2 * np.pi * 1000 * time) + 0.25).astype(np.float32)).channels[0]
    assert found.summary["level_db"] == pytest.approx(10 * np.log10(0.5**2 / 2), abs=0.01)
    assert found.summary["peak_db"] == pytest.approx(20 * np.log10(0.75), abs=0.01)
    assert found.summary["offset"] == pytest.approx(0.25, abs=1e-3)
    assert [each["level_db"] for each in found.segments] == pytest.approx([-9.03, -9.03], abs=0.01)


def test_noise_of_a_band_is_its_tenth_percentile(tmp_path):
    # White noise: the power of a band of many bins is a gamma distribution about its share of the variance.
    from scipy.signal.windows import blackmanharris
    from scipy.stats import gamma

    spectra = Spectra(44_100)
    sound = np.random.default_rng(2).normal(0, 0.1, 60 * 44_100).astype(np.float32)
    for at in range(0, len(sound), 100_000):
        spectra.push(sound[at : at + 100_000])
    found = spectra.finish()
    for low, level in zip(OCTAVES_HZ, found.octaves_db, strict=True):
        if low > 11_000:
            assert level is None
        elif low >= 500:
            # Neighboring bins of a window share power, so fewer are independent (Welch 1967).
            window = blackmanharris(8192, sym=False)
            count = low / (44_100 / 8192) / (8192 * (window**4).sum() / (window**2).sum() ** 2)
            quantile = gamma.ppf(0.1, count) / count
            assert level == pytest.approx(10 * np.log10(0.01 * low / 22_050 * quantile), abs=0.25)


def test_wind_swells_below_200_hz_and_hum_does_not(tmp_path):
    rng = np.random.default_rng(3)
    count = 20 * RATE
    spectrum = np.fft.rfft(rng.normal(size=count))
    hz = np.fft.rfftfreq(count, 1 / RATE)
    gusts = np.interp(np.arange(count) / RATE, range(21), rng.uniform(0.1, 1, 21)) ** 2
    wind = gusts * np.fft.irfft(spectrum * np.where(hz > 5, np.maximum(hz, 5) ** (-5 / 6), 0) * (hz < 300), count)
    wind *= 0.05 / wind.std()
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(count) / RATE)
    windy = [measured(tmp_path, sound + 0.05 * NOISE).channels[0].summary["windy"] for sound in (wind, hum, wind / 50)]
    assert windy == [1.0, 0.0, 0.0]
    assert measured(tmp_path, wind + NOISE * 0.01).channels[0].problems == ["windy: 100 % of the time"]


def test_rain_is_smooth_over_frequency_and_steady(tmp_path):
    time = np.arange(len(NOISE)) / RATE
    gated = STEADY * (np.sin(2 * np.pi * time) > 0.5)
    tones = sum(0.01 * np.sin(2 * np.pi * hz * time) for hz in (700, 1100, 4500, 5000))
    rainy = [measured(tmp_path, x).channels[0].summary["rainy"] for x in (STEADY, gated, tones, STEADY * 1e-3)]
    assert rainy == [1.0, 0.0, 0.0, 0.0]


def test_rows_per_segment_and_a_shorter_last_one(tmp_path):
    found = measured(tmp_path, NOISE[: 12 * RATE + 100]).channels[0]
    assert [each["start"] for each in found.segments] == [0, 5, 10]
    assert found.segments[-1]["seconds"] == pytest.approx(2 + 100 / RATE)
    assert all(set(each) == set(SEGMENT_COLUMNS) for each in found.segments) and set(found.summary) == set(
        CHANNEL_COLUMNS
    )
    # The indices of the whole are those of the whole segments.
    assert found.summary["ACI"] == pytest.approx(np.mean([each["ACI"] for each in found.segments[:2]]))


@pytest.mark.parametrize("block_s", [0.013, 3.3])
def test_the_size_of_blocks_does_not_matter(tmp_path, block_s):
    sound = np.stack([NOISE[: 7 * RATE], NOISE[RATE : 8 * RATE] ** 2], 1)
    one, other = measured(tmp_path, sound), measured(tmp_path, sound, block_s=block_s)
    for a, b in zip(one.channels, other.channels, strict=True):
        assert a.problems == b.problems
        for x, y in zip([a.summary, *a.segments], [b.summary, *b.segments], strict=True):
            assert {k: y[k] for k in x} == pytest.approx(x, rel=1e-4, abs=1e-6, nan_ok=False)


def test_bad_and_short_recordings(tmp_path):
    one = measured(tmp_path, np.array([0.5], np.float32)).channels[0]
    assert one.problems == [] and one.summary["noise_db"] is None and one.summary["ACI"] is None
    eight = measured(tmp_path, np.repeat(NOISE[: 2 * RATE, None], 8, 1))
    assert len(eight.channels) == 8 and "identical to channel 8" in eight.channels[0].problems
    low = measured(tmp_path, NOISE, rate=8000)
    assert set(low.missing) == {"ADI", "AEI", "BI", "NDSI"}
    summary = low.channels[0].summary
    assert summary["NDSI"] is None and summary["rainy"] is None and summary["ACI"] > 0 and summary["windy"] == 0
    assert summary["noise_4000_db"] is None and summary["noise_1000_db"] is not None
    with_nan = NOISE.copy()
    with_nan[6 * RATE] = np.nan
    assert measured(tmp_path, with_nan, subtype="FLOAT").channels[0].summary["seconds"] == 6.0


def test_a_day_takes_no_more_memory_than_a_minute():
    import tracemalloc

    class Reader:
        rate, channels, subtype = 16_000, 1, "PCM_16"

    block = NOISE[: 10 * 16_000][None]
    peaks = []
    for minutes in (1, 6):
        meter = QualityMeter(Reader(), 60.0)
        tracemalloc.start()
        for _ in range(6 * minutes):
            meter.push(block)
        meter.finish()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000  # rows of five more minutes


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_command_writes_tables_and_pictures(tmp_path, capsys):
    card = tmp_path / "card"
    (card / "deeper").mkdir(parents=True)
    soundfile.write(card / "20240501_063000Z.wav", NOISE[: 3 * RATE], RATE)
    soundfile.write(card / "deeper" / "two.flac", np.stack([NOISE[: RATE // 2], 0 * NOISE[: RATE // 2]], 1), 8000)
    (card / "none.mp3").write_bytes(b"")
    out = tmp_path / "quality"
    typed = ["audio-info", str(card), "--recursive", "--quality", str(out), "--per", "2"]
    assert main(typed) == 1
    shown = capsys.readouterr().out
    assert "deeper/two.flac channel 2: dead\n" in shown and f"quality = {out}\n" in shown
    assert "NDSI needs frequencies up to 11 kHz; 8000 Hz reaches 4 kHz: empty for deeper/two.flac\n" in shown
    rows = rows_of(out / "quality.csv")
    assert [(row["recording"], row["channel"], row["problems"]) for row in rows] == [
        ("20240501_063000Z.wav", "1", rows[0]["problems"]),
        ("deeper/two.flac", "1", rows[1]["problems"]),
        ("deeper/two.flac", "2", "dead"),
    ]
    assert rows[1]["NDSI"] == rows[2]["ACI"] == "" and float(rows[1]["ACI"]) > 0
    over = rows_of(out / "over_time.csv")
    assert [row["time"] for row in over[:2]] == ["2024-05-01T06:30:00+00:00", "2024-05-01T06:30:02+00:00"]
    assert len(over) == 4
    assert (out / "pictures" / "deeper" / "two.flac.png").read_bytes().startswith(b"\x89PNG")
    assert main(["audio-info", str(card), "--quality", str(out), "--per", "0"]) == 1
    assert "--per 0: expected seconds from 1 to 600" in capsys.readouterr().err


def test_swapped_channels_are_found_among_their_like(tmp_path):
    card = tmp_path / "card"
    card.mkdir()
    rng = np.random.default_rng(9)
    for number in range(4):
        left, right = rng.normal(0, 0.02, (2, RATE))
        both = np.stack([left, np.diff(right, prepend=0) * 0.1], 1)
        soundfile.write(card / f"{number}.wav", both[:, ::-1] if number == 2 else both, RATE)
    with quality_tables(tmp_path) as tables:
        for path in sorted(card.glob("*.wav")):
            tables.add(path.name, inspect_recording(path, None, QualityMeter).measured, None)
        lines = [line for line in tables.finish(tmp_path / "quality.csv") if "swapped" in line]
    assert [line.split(":")[0] for line in lines] == ["2.wav channel 1", "2.wav channel 2"]
