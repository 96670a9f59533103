"""Pictures of spectrograms: axes that tell the truth, colors that print, names in any script."""

import warnings

import numpy as np
import pytest
from matplotlib.textpath import TextPath
from PIL import Image

from britekit.audio.frequency_scales import hz_to_mel
from britekit.audio.spectrogram import compute_spectrograms
from britekit.config.audio import AudioConfig
from britekit.errors import InputError
from britekit.plots import spectrogram
from britekit.plots.axis_ticks import frequency_ticks, row_centers_hz, time_ticks
from britekit.plots.contact_sheet import _CELL_WIDTH, COLUMNS, ROWS, ContactSheet, _short
from britekit.plots.lettering import set_name
from britekit.plots.spectrogram import SpectrogramPlot, colored, plot_bare_spectrogram, plot_spectrogram, save_picture
from britekit.plots.style import DPI

SCALES = [
    AudioConfig(),
    AudioConfig(freq_scale="log"),
    AudioConfig(freq_scale="linear"),
    AudioConfig(freq_scale="linear", sampling_rate=384000, min_freq=10000, max_freq=120000, win_length=0.004,
                spec_duration=0.5),
    AudioConfig(freq_scale="mel", sampling_rate=44100, max_freq=20000, spec_height=256, n_fft=8192),
    AudioConfig(freq_scale="log", sampling_rate=2000, min_freq=20, max_freq=400, spec_height=64,
                win_length=0.4),
]  # fmt: skip
scales = pytest.mark.parametrize("cfg", SCALES, ids=lambda cfg: f"{cfg.freq_scale}-{cfg.max_freq}")


@scales
def test_a_tone_lies_in_the_row_of_its_frequency(cfg):
    """Every tick says where a tone of that frequency is drawn: synthesize it and look."""
    hz = row_centers_hz(cfg)
    assert len(hz) == cfg.spec_height and (np.diff(hz) > 0).all()
    time = np.arange(int(cfg.spec_duration * cfg.sampling_rate)) / cfg.sampling_rate
    ticks = frequency_ticks(hz)
    factor = 1000 if "kHz" in ticks.name else 1
    for place, label in zip(ticks.places, ticks.labels, strict=True):
        tone = float(label) * factor
        if not cfg.min_freq * 1.02 < tone < cfg.max_freq * 0.98:
            continue
        signal = np.sin(2 * np.pi * tone * time).astype(np.float32)
        rows = compute_spectrograms(signal, [0.0], cfg)[1][0][:, 20:-20].sum(axis=1)
        # Low rows of a narrow scale are wider than they are apart: center of gravity of the peak.
        strong = np.where(rows > 0.5 * rows.max(), rows, 0)
        found = float((strong * np.arange(len(rows))).sum() / strong.sum())
        bins_per_row = cfg.sampling_rate / cfg.fft_samples / np.interp(tone, hz[1:], np.diff(hz))
        assert abs(found - place) < 1.0 + bins_per_row, f"{tone} Hz is drawn in row {found}, its tick at {place}"


@scales
def test_ticks_are_round_and_apart(cfg):
    ticks = frequency_ticks(row_centers_hz(cfg))
    assert 3 <= len(ticks.places) <= 13 and ticks.places == sorted(ticks.places)
    assert np.diff(ticks.places).min() >= (cfg.spec_height - 1) / 12.01
    assert ticks.places[0] >= -0.5 and ticks.places[-1] <= cfg.spec_height - 0.5
    assert all(len(label) <= 4 for label in ticks.labels)
    assert ticks.name == ("Frequency (kHz)" if cfg.max_freq >= 1000 else "Frequency (Hz)")


def test_rows_of_the_mel_scale_are_even_in_mel():
    mel = hz_to_mel(row_centers_hz(AudioConfig()))
    np.testing.assert_allclose(np.diff(mel), np.diff(mel)[0])


@pytest.mark.parametrize(
    ("start", "seconds", "labels", "name"),
    [
        (0, 5, "0 0.5 1 1.5 2 2.5 3 3.5 4 4.5 5", "Time (s)"),
        (2.5, 3, "2.5 3 3.5 4 4.5 5 5.5", "Time (s)"),
        (0, 0.5, "0 0.05 0.1 0.15 0.2 0.25 0.3 0.35 0.4 0.45 0.5", "Time (s)"),
        (86395, 5, "86395 86395.5 86396 86396.5 86397 86397.5 86398 86398.5 86399 86399.5 86400", "Time (s)"),
        (0, 60, "0 10 20 30 40 50 60", "Time (s)"),
        (0, 300, "0:00 0:30 1:00 1:30 2:00 2:30 3:00 3:30 4:00 4:30 5:00", "Time (min:s)"),
        (0, 86400, "0:00 3:00 6:00 9:00 12:00 15:00 18:00 21:00 24:00", "Time (h:min)"),
        (3595, 130, "1:00:00 1:00:15 1:00:30 1:00:45 1:01:00 1:01:15 1:01:30 1:01:45 1:02:00", "Time (h:min:s)"),
    ],
)
def test_times_are_round(start, seconds, labels, name):
    ticks = time_ticks(start, seconds)
    assert (ticks.labels, ticks.name) == (labels.split(), name)
    assert start - 1e-9 <= ticks.places[0] and ticks.places[-1] <= start + seconds + 1e-9


def test_lightness_falls_evenly():
    """Read in gray (CIE L*), a louder value is always darker, and no step is much larger than another."""
    table = spectrogram._colors() / 255.0
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness[::8])
    assert (steps < 0).all() and lightness[0] > 95 and lightness[-1] < 5
    assert steps.min() > 2.2 * steps.mean()


def test_pixels_show_the_values_they_stand_for():
    image = np.zeros((4, 10), np.float32)
    image[0, 0] = image[3, 9] = 1.0  # lowest row at the start, highest at the end
    picture = colored(image, 1.0, 8, 20)
    dark = picture.sum(axis=2) < 100
    assert dark[6:, :2].all() and dark[:2, 18:].all() and dark.sum() == 8
    # Squeezed to fewer columns, a short call is still there.
    image[2, 1000 % 10] = 1.0
    assert (colored(np.repeat(image, 3, axis=1), 1.0, 4, 7).sum(axis=2) < 100).any(axis=1).tolist() == (
        [True, True, False, True]
    )


def test_power_shows_faint_values():
    image = np.array([[0.0, 0.1, 1.0]], np.float32)
    faint = [int(colored(image, power, 1, 3)[0, 1].sum()) for power in (0.3, 1.0, 2.0)]
    assert faint == sorted(faint)
    np.testing.assert_array_equal(colored(image, 0.3, 1, 3)[0, [0, 2]], colored(image, 1.0, 1, 3)[0, [0, 2]])


def test_one_plot_draws_many_alike(tmp_path):
    """Drawing on the same axes again leaves nothing of the picture before."""
    rng = np.random.default_rng(1)
    images = rng.random((3, 16, 40)).astype(np.float32)
    hz = np.linspace(100, 4000, 16)
    plot = SpectrogramPlot(hz)
    for k, image in enumerate(images):
        plot.save(tmp_path / f"{k}.png", image, 5.0, 5.0 * k, f"title {k}", 0.5)
        plot_spectrogram(tmp_path / "alone.png", image, hz, 5.0, 5.0 * k, f"title {k}", 0.5)
        assert (tmp_path / f"{k}.png").read_bytes() == (tmp_path / "alone.png").read_bytes()
    assert Image.open(tmp_path / "0.png").size == (spectrogram.WIDTH_PX, spectrogram.HEIGHT_PX)


@pytest.mark.parametrize("image", [np.zeros((16, 40)), np.full((16, 40), 7.0), np.full((16, 1), np.nan)])
def test_flat_pictures(image, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error" if not np.isnan(image).all() else "ignore")
        plot_spectrogram(tmp_path / "x.jpeg", image, np.linspace(100, 4000, 16), 5.0)
    assert Image.open(tmp_path / "x.jpeg").format == "JPEG"


@pytest.mark.parametrize(
    "name", ["дрозд", "鶇 – 録音", "a$b$c $\\frac{1}{2}", "two\nlines\t\x07", "x" * 300, "😀", "עפרוני"]
)
def test_names_in_any_script(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of letters it has no glyph for
        plot_spectrogram(tmp_path / "x.png", np.eye(16), np.linspace(100, 4000, 16), 5.0, title=name)


def test_dollars_are_no_formula_and_missing_letters_are_boxes():
    from matplotlib.figure import Figure

    label = Figure().text(0, 0, "")
    set_name(label, "a$b$\n\U00013000")
    assert label.get_text() == "a$b$ □" and not label.get_parse_math()


def test_bare_pictures(tmp_path):
    plot_bare_spectrogram(tmp_path / "x.png", np.eye(128, 480))
    assert Image.open(tmp_path / "x.png").size == (960, 256)
    plot_bare_spectrogram(tmp_path / "y.png", np.eye(128, 480), width=700, height=300)
    assert Image.open(tmp_path / "y.png").size == (700, 300)


@pytest.mark.parametrize("suffix", [".bmp", ".txt", ""])
def test_other_formats_are_refused(suffix, tmp_path):
    with pytest.raises(InputError, match="no picture can be written"):
        save_picture(tmp_path / f"x{suffix}", np.zeros((4, 4, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_sheets_have_pages(tmp_path):
    def page(number):
        return tmp_path / f"sheet{number}.png"

    with ContactSheet(page, "Wren", "legend") as sheet:
        for k in range(COLUMNS * ROWS + 1):
            sheet.add(np.full((8, 20), k, np.float32) + np.eye(8, 20, dtype=np.float32), f"recording {k}")
    assert sheet.pages == [page(1), page(2)]
    whole, rest = Image.open(page(1)).size, Image.open(page(2)).size
    assert whole[0] == rest[0] and whole[1] > 4 * rest[1]
    with ContactSheet(page, "none", "legend") as empty:
        pass
    assert empty.pages == []


def test_no_sheet_is_left_of_a_run_that_failed(tmp_path):
    with pytest.raises(RuntimeError), ContactSheet(lambda _: tmp_path / "x.png", "t", "l") as sheet:
        sheet.add(np.eye(8, dtype=np.float32), "a")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_captions_keep_the_time():
    assert _short("20240501_063000 5 s") == "20240501_063000 5 s"
    assert _short("x" * 60 + " 1234.5 s").endswith(" 1234.5 s") and len(_short("x" * 60 + " 1 s")) <= 31
    # Names of recorders are digits and capitals; the caption of a cell must not run into the next one.
    drawn = TextPath((0, 0), _short("20180530_213516-EPTSER-LR_0_0.5_" * 2 + "0.244 s"), size=6 * DPI / 72)
    assert drawn.get_extents().width < _CELL_WIDTH
    assert _short("録音" * 30 + " 5 s").endswith(" 5 s") and len(_short("録音" * 30 + " 5 s")) < 25
