"""Draws the pictures of the guide into docs/pictures; the same pictures at every run.

    python docs/make_pictures.py                   # all
    python docs/make_pictures.py scales pr-roc     # these
    python docs/make_pictures.py --measure result PROJECT 10 5   # first take the numbers
                                                   # of recording 10 from 5 s on from a finished project

Sounds are synthesized, so nothing has to be downloaded and the truth is known. What had to be measured (speed
of networks, scores of a trained one) lies as small tables in docs/pictures/measured.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from britekit.audio.signal import load_signal
from britekit.audio.spectrogram import compute_spectrograms
from britekit.collect.sample import SampleRecording, plan_test, plan_training
from britekit.collect.synth.species import first_species
from britekit.config import AudioConfig, BaseConfig
from britekit.plots.axis_ticks import frequency_ticks, row_centers_hz
from britekit.plots.curves import plot_pr_per_threshold
from britekit.plots.reliability import ReliabilityLine, plot_reliability
from britekit.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, SPECTROGRAM_COLORS, figure, unit_axes

FOLDER = Path(__file__).resolve().parent / "pictures"
MEASURED = FOLDER / "measured"
PICTURES: dict[str, Callable[[Path], None]] = {}
SPECIES = 6
FRAME_SECONDS = 20.0


def picture(draw: Callable[[Path], None]) -> Callable[[Path], None]:
    """Register a function that draws one picture (or several that begin with its name)."""
    PICTURES[draw.__name__.removeprefix("draw_").replace("_", "-")] = draw
    return draw


# Sounds


@cache
def signal_of(number: int, rate: int) -> np.ndarray:
    """Return the test soundscape of this number, one channel at ``rate``."""
    return _written(list(plan_test(first_species(SPECIES), number, 1))[-1], rate)


def _written(recording: SampleRecording, rate: int) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.flac")
        recording.write(path)
        return load_signal(path, AudioConfig(sampling_rate=rate))[0]


@cache
def call_of(species: int, number: int = 3) -> np.ndarray:
    """Return a training recording of a species; -1 is noise."""
    kind = None if species < 0 else first_species(SPECIES)[species]
    return _written(list(plan_training(kind, number, 1))[-1], AudioConfig().sampling_rate)


def image_of(signal: np.ndarray, cfg: AudioConfig, start: float = 0.0, seconds: float | None = None) -> np.ndarray:
    """Return the normalized spectrogram (H, W)."""
    return compute_spectrograms(signal, [start], cfg, seconds)[0][0]


def show(axes: Any, image: np.ndarray, cfg: AudioConfig, seconds: float, title: str = "", power: float = 0.6) -> None:
    """Draw a spectrogram with its seconds and kilohertz."""
    ticks = frequency_ticks(row_centers_hz(cfg), most=6)
    axes.imshow(
        np.clip(image, 0, 1) ** power, origin="lower", aspect="auto", cmap=SPECTROGRAM_COLORS, interpolation="nearest",
        extent=(0, seconds, -0.5, len(image) - 0.5), vmin=0, vmax=1,
    )  # fmt: skip
    axes.set_yticks(ticks.places, ticks.labels)
    axes.set_title(title, fontsize=9)
    axes.grid(visible=False)


def spectrogram_row(path: Path, cases: list[tuple[str, dict[str, Any], float]], species: int) -> None:
    """Draw one recording with several settings, side by side."""
    with figure(path, width=9, height=2.9) as drawn:
        grid = drawn.subplots(1, len(cases), squeeze=False)[0]
        for axes, (title, changes, power) in zip(grid, cases, strict=True):
            cfg = AudioConfig(**changes)
            show(axes, image_of(call_of(species), cfg), cfg, cfg.spec_duration, title, power)
            axes.set_xlabel("Time (s)")
        grid[0].set_ylabel("Frequency (kHz)")


@picture
def draw_spectrogram_height(path: Path) -> None:
    """Rows."""
    cases: list[tuple[str, dict[str, Any], float]] = [
        (f"spec_height: {height}", {"spec_height": height}, 0.6) for height in (32, 64, 128)
    ]
    spectrogram_row(path, cases, 1)


@picture
def draw_spectrogram_width(path: Path) -> None:
    """Columns."""
    cases: list[tuple[str, dict[str, Any], float]] = [
        (f"spec_width: {width}", {"spec_width": width}, 0.6) for width in (64, 160, 480)
    ]
    spectrogram_row(path, cases, 0)


@picture
def draw_spectrogram_window(path: Path) -> None:
    """The analysis window: fine in time or fine in frequency."""
    cases: list[tuple[str, dict[str, Any], float]] = [
        (f"win_length: {length}", {"win_length": length}, 0.6) for length in (0.01, 0.055, 0.2)
    ]
    spectrogram_row(path, cases, 0)


@picture
def draw_spectrogram_scale(path: Path) -> None:
    """Mel, linear, logarithmic."""
    cases: list[tuple[str, dict[str, Any], float]] = [
        (f"freq_scale: {scale}", {"freq_scale": scale}, 0.6) for scale in ("mel", "linear", "log")
    ]
    spectrogram_row(path, cases, 2)


@picture
def draw_spectrogram_amplitude(path: Path) -> None:
    """Power, magnitude, the exponent of inference, decibels; drawn as the network sees them."""
    cases: list[tuple[str, dict[str, Any], float]] = [
        ("power: 2.0", {"power": 2.0}, 1.0),
        ("power: 1.0", {}, 1.0),
        ("power: 1.0, infer.audio_power: 0.7", {}, 0.7),
        ("decibels: true, top_db: 80", {"decibels": True}, 1.0),
    ]
    spectrogram_row(path, cases, 1)


# Result


def _table(name: str) -> list[dict[str, str]]:
    with open(MEASURED / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _cut(row: dict[str, str], offset: float, seconds: float) -> tuple[float, float] | None:
    """Start and end of a row within the part that is shown, counted from its beginning."""
    start, end = float(row["start"]) - offset, float(row["end"]) - offset
    return (max(start, 0.0), min(end, seconds)) if start < seconds and end > 0 else None


@picture
def draw_result(path: Path) -> None:
    """A soundscape with what is in it and what was detected."""
    rows, seconds = _table("result.csv"), 30.0
    offset = float(rows[0]["offset"])
    cfg = AudioConfig(spec_width=1200)
    image = image_of(signal_of(int(rows[0]["number"]), cfg.sampling_rate), cfg, offset, seconds)
    names = [kind.info for kind in first_species(SPECIES)]
    with figure(path, width=9, height=5.2) as drawn:
        top, bottom = drawn.subplots(2, 1, height_ratios=[1.5, 1], sharex=True)
        show(top, image, cfg, seconds, "", 0.7)
        top.set_ylabel("Frequency (kHz)")
        for place, info in enumerate(names):
            for row in rows:
                part = _cut(row, offset, seconds) if row["class"] == info.code else None
                if part is None:
                    continue
                if row["kind"] == "truth":
                    bottom.barh(place + 0.2, part[1] - part[0], 0.3, part[0], color=GRAY)
                else:
                    shade = float(row["score"])
                    bottom.barh(place - 0.18, part[1] - part[0], 0.3, part[0], color=BLUE, alpha=shade)
        bottom.set_yticks(range(len(names)), [info.name for info in names])
        bottom.set(xlim=(0, seconds), ylim=(-0.6, len(names) - 0.4), xlabel="Time (s)")
        bottom.barh([-9], [1], color=GRAY, label="actual calls")
        bottom.barh([-9], [1], color=BLUE, label="detections (darker: more probable)")
        drawn.legend(*bottom.get_legend_handles_labels(), loc="outside lower center", ncols=2)


@picture
def draw_sed_frames(path: Path) -> None:
    """Frame scores of a SED head under the spectrogram, with the calls."""
    rows, seconds = _table("sed-frames.csv"), FRAME_SECONDS
    offset = float(rows[0]["offset"])
    cfg = AudioConfig(spec_width=1000)
    image = image_of(signal_of(int(rows[0]["number"]), cfg.sampling_rate), cfg, offset, seconds)
    names = {kind.info.code: kind.info.name for kind in first_species(SPECIES)}
    codes = sorted({row["class"] for row in rows if row["kind"] == "frame"})
    with figure(path, width=9, height=4.6) as drawn:
        axes = drawn.subplots(1 + len(codes), 1, height_ratios=[2] + [1] * len(codes), sharex=True)
        show(axes[0], image, cfg, seconds, "", 0.7)
        axes[0].set_ylabel("kHz")
        for panel, code in zip(axes[1:], codes, strict=True):
            for kind, color in (("frame", BLUE), ("segment", ORANGE)):
                chosen = [row for row in rows if row["kind"] == kind and row["class"] == code]
                times = [float(row["start"]) - offset for row in chosen]
                values = [float(row["score"]) for row in chosen]
                panel.step(times, values, where="post", color=color, label=kind)
            for row in rows:
                part = _cut(row, offset, seconds) if row["kind"] == "truth" and row["class"] == code else None
                if part is not None:
                    panel.axvspan(*part, color=GRAY, alpha=0.25, lw=0)
            panel.set(ylim=(0, 1), xlim=(0, seconds), ylabel="Score")
            panel.set_title(names[code], fontsize=9)
        axes[1].legend(loc="upper right", ncols=2)
        axes[-1].set_xlabel("Time (s); gray: actual calls")


@picture
def draw_size_speed(path: Path) -> None:
    """Parameters against speed of every network, as measured."""
    rows = _table("models.csv")
    colors = {"effnet": BLUE, "dla": ORANGE, "gernet": GREEN, "vovnet": RED, "hgnet": GRAY}
    with figure(path, width=6.5, height=4.2) as drawn:
        axes = drawn.subplots()
        for family, color in colors.items():
            mine = [row for row in rows if row["model"].split(".")[0] == family]
            x = [float(row["parameters"]) / 1e6 for row in mine]
            y = [float(row["forward_per_second"]) for row in mine]
            axes.plot(x, y, "o-", color=color, markersize=5, linewidth=1, label=family)
        axes.set(xscale="log", yscale="log", xlabel="Million parameters", ylabel="Spectrograms per second")
        for axis, marks in ((axes.xaxis, (0.2, 0.5, 1, 2, 3)), (axes.yaxis, (5, 10, 20, 50))):
            axis.set_ticks(marks, [f"{mark:g}" for mark in marks])
            axis.set_ticks([], minor=True)
        axes.legend()


# Metrics: two classes whose scores overlap equally, one common and one rare


def _scored(seed: int, positives: int, negatives: int, distance: float = 2.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = np.concatenate([rng.normal(distance, 1.0, positives), rng.normal(0.0, 1.0, negatives)])
    truth = np.concatenate([np.ones(positives, bool), np.zeros(negatives, bool)])
    return truth, 1 / (1 + np.exp(-(logits - distance / 2)))


@picture
def draw_pr_roc(path: Path) -> None:
    """The same separation, common and rare: one ROC curve, two PR curves."""
    from britekit.metrics.counts import count_by_threshold
    from britekit.metrics.curves import coarse, curve_of
    from britekit.metrics.ranking import area_under_pr, area_under_roc

    with figure(path, width=8, height=3.9) as drawn:
        left, right = drawn.subplots(1, 2)
        for name, color, positives, style in (
            ("common, 1 in 3", BLUE, 2000, "-"),
            ("rare, 1 in 100", ORANGE, 40, "--"),
        ):
            truth, scores = _scored(1, positives, 4000)
            counts = count_by_threshold(truth, scores)
            curve = curve_of(coarse(counts, 1000))
            left.plot(
                curve.false_positive_rate, curve.recall, color=color, linestyle=style,
                label=f"{name}: {area_under_roc(counts):.2f}",
            )  # fmt: skip
            right.plot(
                curve.recall, curve.precision, color=color, linestyle=style,
                label=f"{name}: {area_under_pr(counts):.2f}",
            )  # fmt: skip
        unit_axes(left, "False positive rate", "True positive rate")
        unit_axes(right, "Recall", "Precision")
        left.set_title("ROC-AUC does not see rarity")
        right.set_title("PR-AUC does")
        left.legend(loc="lower right")
        right.legend(loc="lower left")


@picture
def draw_macro_micro(path: Path) -> None:
    """Per-class PR-AUC, their mean, and that of all cells pooled."""
    from britekit.metrics.ranking import average_precision

    sizes = {"very common": (900, 3.0), "common": (300, 2.8), "uncommon": (60, 2.2), "rare": (12, 1.6)}
    pairs = [_scored(place, count, 3000 - count, gap) for place, (count, gap) in enumerate(sizes.values())]
    each = [average_precision(truth, scores) for truth, scores in pairs]
    micro = average_precision(np.concatenate([t for t, _ in pairs]), np.concatenate([s for _, s in pairs]))
    with figure(path, width=6, height=3.2) as drawn:
        axes = drawn.subplots()
        names = [f"{name}\n{count} sounds" for name, (count, _) in sizes.items()] + ["macro", "micro"]
        values = [*each, float(np.mean(each)), micro]
        bars = axes.bar(names, values, color=[BLUE] * 4 + [ORANGE, GREEN], width=0.65)
        axes.bar_label(bars, [f"{value:.2f}" for value in values], fontsize=8)
        axes.set(ylim=(0, 1.05), ylabel="PR-AUC")
        axes.tick_params(axis="x", labelsize=8)


@picture
def draw_threshold(path: Path) -> None:
    """Precision and recall over the threshold, by the library's own plot."""
    from britekit.metrics.counts import count_by_threshold
    from britekit.metrics.curves import curve_at

    truth, scores = _scored(3, 400, 4000)
    curve = curve_at(count_by_threshold(truth, scores), np.linspace(0.01, 0.95, 95))
    plot_pr_per_threshold(
        path, curve.thresholds, curve.precision, curve.recall, 0.8, "A threshold trades one for the other"
    )


@picture
def draw_calibration(path: Path) -> None:
    """Scores that claim too much, before and after Platt scaling fitted on other recordings."""
    from britekit.evaluation.platt_fit import fit_platt, logit
    from britekit.metrics.calibration import expected_calibration_error, reliability_bins

    rng = np.random.default_rng(5)
    logits = rng.normal(-1.5, 2.0, 12000)
    # The network says this; how often it is right follows from a flatter line.
    truth = rng.random(12000) < 1 / (1 + np.exp(-(0.55 * logits - 0.6)))
    scores = 1 / (1 + np.exp(-logits))
    fitted, tested = slice(0, 6000), slice(6000, None)
    a, b = fit_platt(logit(scores[fitted]), truth[fitted])
    after = 1 / (1 + np.exp(-(a * logit(scores[tested]) + b)))
    lines = []
    for name, values in (("before", scores[tested]), ("after", after)):
        bins = reliability_bins(truth[tested], values)
        error = expected_calibration_error(truth[tested], values).error
        lines.append(
            ReliabilityLine(
                f"{name}, error {error:.3f}", bins.mean_prediction, bins.observed, bins.low, bins.high, bins.count
            )
        )
    plot_reliability(path, lines[0], lines[1], f"P = sigmoid({a:.2f} logit(score) {b:+.2f})")


# Augmentations


@picture
def draw_augment(path: Path) -> None:
    """One picture for each way of mixing and each augmentation: augment-NAME.png."""
    from britekit.annotations.classes import ClassInfo
    from britekit.datasets.augmentations.registry import Fade
    from britekit.datasets.before_after import augmentation_examples
    from britekit.datasets.excerpt import Excerpt
    from britekit.datasets.mixing import MixSettings
    from britekit.plots.before_after import plot_before_after

    train, audio = BaseConfig().train, AudioConfig(spec_height=96, spec_width=256)
    # Three to show, three of other classes to mix with, two of noise.
    members = [0, 1, 2, 3, 4, 5, -1, -1]
    images = [image_of(call_of(kind, 2 if n == 7 else 3), audio) for n, kind in enumerate(members)]
    classes = [ClassInfo(kind.info.name, kind.info.code) for kind in first_species(SPECIES)] + [
        ClassInfo("Noise", "NOIS")
    ]
    labels = np.zeros((len(members), len(classes)), np.uint8)
    labels[np.arange(len(members)), members] = 1
    excerpt = Excerpt(classes, np.rint(np.stack(images) * 255).astype(np.uint8), labels, 3, len(classes) - 1)
    # By default these are too gentle to be seen at this size.
    stronger: dict[str, dict[str, Any]] = {
        "freq_blur": {"sigma": 1.5},
        "speckle": {"std2": 0.4},
        "shift_horizontal": {"max_shift": 60},
    }
    entries = [
        dataclasses.replace(entry, params=entry.params | stronger.get(entry.name, {})) for entry in train.augmentations
    ]
    for example in augmentation_examples(
        excerpt,
        entries,
        MixSettings(train.prob_simple_merge, train.prob_mixup, train.prob_cutmix, train.mixup_alpha),
        Fade(train.prob_fade1, train.min_fade1, train.max_fade1),
        train.max_augmentations,
        seed=3,
    ):
        target = path.with_name(f"augment-{example.name}.png")
        plot_before_after(target, example.before, example.after, example.title, power=0.6)


def measure(what: str, project: Path, number: int, offset: float) -> None:
    """Take the numbers of `result` or `sed-frames` from a finished project of `sample` sources.

    `sed-frames` needs models with a SED head. models.csv comes from `britekit models --time --csv`.
    """
    import os

    from britekit import Predictor, get_config
    from britekit.annotations.segments import read_annotations

    os.chdir(project)
    MEASURED.mkdir(parents=True, exist_ok=True)
    stem = f"soundscape-{number:04d}"
    cfg = get_config()
    cfg.infer.min_score = 0.5
    if Path("models/calibration.yaml").exists():
        cfg.infer.calibration = "models/calibration.yaml"
    predictor = Predictor(cfg=cfg)
    scores, frames, starts = predictor.get_recording_scores(f"data/test/{stem}.flac")
    rows: list[list[Any]] = [["number", "offset", "kind", "class", "start", "end", "score"]]
    rows += [
        [number, offset, "truth", x.label, f"{x.start:.2f}", f"{x.end:.2f}", ""]
        for x in read_annotations(Path("data/test/annotations.csv"))
        if x.recording == stem
    ]
    if what == "result":
        table = predictor.get_dataframe(scores, frames, starts, stem)
        rows += [
            [number, offset, "found", row[1], f"{row[2]:.2f}", f"{row[3]:.2f}", f"{row[4]:.3f}"]
            for row in table.itertuples(index=False)
        ]
    else:
        if frames is None:
            raise SystemExit("Error: the models have no SED head, so there are no frames")
        heard = sorted({row[3] for row in rows[1:] if offset <= float(row[4]) < offset + FRAME_SECONDS})
        rate, length = predictor.cfg.train.sed_fps, predictor.cfg.audio.spec_duration
        for code in heard:
            column = predictor.class_codes.index(code)
            for place in range(round(offset * rate), round((offset + FRAME_SECONDS) * rate)):
                window = min(int(place / rate / length), len(scores) - 1)
                time = f"{place / rate:.2f}"
                rows.append([number, offset, "frame", code, time, "", f"{frames[place, column]:.3f}"])
                rows.append([number, offset, "segment", code, time, "", f"{scores[window, column]:.3f}"])
    with open(MEASURED / f"{what}.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _shrink(path: Path) -> None:
    """Keep 96 colors: a third of the size, and no difference to see. Gray ones need no palette, a tenth less."""
    with Image.open(path) as opened:
        reduced = opened.convert("RGB").quantize(96, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    red, green, blue = (np.asarray(part) for part in reduced.convert("RGB").split())
    is_gray = (red == green).all() and (red == blue).all()
    (reduced.convert("L") if is_gray else reduced).save(path, optimize=True)


def main(arguments: list[str]) -> int:
    """Draw all pictures, or those named."""
    if arguments[:1] == ["--measure"]:
        measure(arguments[1], Path(arguments[2]), int(arguments[3]), float(arguments[4]))
        arguments = [arguments[1]]
    FOLDER.mkdir(exist_ok=True)
    unknown = set(arguments) - set(PICTURES)
    if unknown:
        print(f"Error: unknown picture {', '.join(sorted(unknown))}; expected {', '.join(PICTURES)}", file=sys.stderr)
        return 2
    for name, draw in PICTURES.items():
        if not arguments or name in arguments:
            draw(FOLDER / f"{name}.png")
            for path in FOLDER.glob(f"{name}*.png"):
                _shrink(path)
            print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
