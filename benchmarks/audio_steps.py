"""The steps from a sound file to a stored spectrogram: speed, share, and how far from the best known.

    python benchmarks/audio_steps.py [--data DIR] [--seconds 600] [--quick]

Speeds are times real time, per thread (processor time of the thread, the best of several rounds); STFT and
mel also beside torchaudio on one and on two threads, by the wall clock in alternating rounds, so that a busy
machine disturbs both alike. The recordings are joined clips of ESC-10, as WAV, FLAC, Ogg Vorbis and MP3.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from extraction import FORMATS, write_joined

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import AudioReader
from britekit.audio.spectrogram import compute_spectrograms
from britekit.audio.threads import single_threaded_products
from britekit.config.audio import AudioConfig
from britekit.database.classes import get_or_add_class
from britekit.database.recordings import add_recording, get_or_add_source
from britekit.database.segments import add_links, add_segments
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, encode, get_or_add_group

# Measured before on a machine of this kind: decoders alone, soxr; a first version with scipy on two threads.
BEST_KNOWN = {"decode wav": 2070, "decode flac": 620, "decode ogg": 660, "decode mp3": 1100, "resample": 2390}
BEST_TRANSFORM = 700


def main() -> int:
    """Print a line per step, ratios to the best known, and the comparison with torchaudio."""
    options = _options()
    clips = sorted((options.data / "esc10" / "recordings").rglob("*.ogg"))
    if not clips:
        print(f"Error: {options.data} has no esc10/recordings; give the folder with --data", file=sys.stderr)
        return 1
    seconds, rounds = (60, 2) if options.quick else (options.seconds, options.rounds)
    with tempfile.TemporaryDirectory(prefix="audio-steps-") as name, single_threaded_products():
        for extension in FORMATS:
            write_joined(clips, Path(name) / f"joined.{extension}", seconds)
        steps(Path(name), seconds, rounds)
    against_torchaudio(64, 3 if options.quick else 10)
    return 0


def steps(folder: Path, seconds: int, rounds: int) -> None:
    """Time each step by itself on one thread, and print its share for each format."""
    cfg = AudioConfig()
    taken = {f"decode {name}": best(lambda n=name: _decode(folder, n), rounds) for name in FORMATS}
    with AudioReader(folder / "joined.wav") as reader:
        blocks, rate = list(reader.blocks()), reader.rate
    signal = _resampled(blocks, rate, cfg)
    taken["resample"] = best(lambda: _resampled(blocks, rate, cfg), rounds)
    starts = [k * cfg.spec_duration for k in range(int(seconds / cfg.spec_duration))]
    taken["transform"] = best(lambda: compute_spectrograms(signal, starts, cfg), rounds)
    images = compute_spectrograms(signal, starts, cfg)[0]
    taken["encode"] = best(lambda: [encode(image) for image in images], rounds)
    values = [encode(image) for image in images]
    numbers = iter(range(1_000_000))
    taken["store"] = best(lambda: _store(folder / f"{next(numbers)}.db", starts, values), rounds)
    for step, time_s in taken.items():
        known = BEST_KNOWN.get(step) or (BEST_TRANSFORM / 2 if step == "transform" else None)
        beside = f", best_known_ratio = {seconds / time_s / known:.2f}" if known else ""
        print(f"{step}: times_real_time = {seconds / time_s:.0f}{beside}")
    for name in FORMATS:
        parts = {"decode": taken[f"decode {name}"]} | {
            step: taken[step] for step in ("resample", "transform", "encode", "store")
        }
        total = sum(parts.values())
        shares = ", ".join(f"{step} {time_s / total:.0%}" for step, time_s in parts.items())
        print(f"{name}: times_real_time = {seconds / total:.0f} on one thread ({shares})")
    print(f"bytes_per_spectrogram = {sum(map(len, values)) / max(1, len(values)):.0f}")


def against_torchaudio(segments: int, rounds: int) -> None:
    """Print times real time and ratios with one and with two threads."""
    import torch
    from torchaudio.transforms import MelSpectrogram

    cfg = AudioConfig()
    duration = cfg.spec_duration
    samples = int(segments * duration * cfg.sampling_rate)
    signal = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    starts = [k * duration for k in range(segments)]
    batch = torch.from_numpy(signal.reshape(segments, -1))
    transform = MelSpectrogram(
        cfg.sampling_rate, n_fft=cfg.fft_samples, win_length=cfg.window_samples,
        hop_length=cfg.hop_samples, f_min=cfg.min_freq, f_max=cfg.max_freq, n_mels=cfg.spec_height, power=1.0,
    )  # fmt: skip
    ours = compute_spectrograms(signal, starts, cfg)[1]
    theirs = transform(batch).numpy()[:, :, : cfg.spec_width]
    print(f"largest_difference = {np.abs(ours - theirs).max() / theirs.max():.1e} of the largest value")

    def halves() -> None:
        list(pool.map(lambda part: compute_spectrograms(signal, part, cfg), (starts[::2], starts[1::2])))

    with ThreadPoolExecutor(2) as pool, single_threaded_products():
        for threads, work in ((1, lambda: compute_spectrograms(signal, starts, cfg)), (2, halves)):
            torch.set_num_threads(threads)
            mine, other = alternating(work, lambda: transform(batch), rounds)
            print(
                f"stft_mel_{threads}_threads: ours (with normalization) {segments * duration / mine:.0f}, "
                f"torchaudio {segments * duration / other:.0f} times real time, ratio = {other / mine:.2f}"
            )


def best(work: Callable[[], object], rounds: int) -> float:
    """Return the least processor time of this thread, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times)


def alternating(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the shortest wall-clock times of two pieces of work, in alternating rounds after a warm-up."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for work, taken in ((one, times[0]), (other, times[1])):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return min(times[0][1:]), min(times[1][1:])


def _decode(folder: Path, name: str) -> None:
    with AudioReader(folder / f"joined.{name}") as reader:
        for _ in reader.blocks():
            pass


def _resampled(blocks: list[np.ndarray], rate: int, cfg: AudioConfig) -> np.ndarray:
    mono = MonoSignal(1, rate, cfg)
    return np.concatenate([*(mono.push(block) for block in blocks), mono.finish()])


def _store(path: Path, starts: list[float], values: list[bytes]) -> None:
    with open_database(path, "create") as session:
        class_id = get_or_add_class(session, "Any", "ANY", "default")
        group_id = get_or_add_group(session, "default")
        recording = add_recording(session, get_or_add_source(session, "any"), "a.wav", "/a.wav", 1.0, {})
        segments = add_segments(session, recording, starts)
        add_links(session, ((segment, class_id) for segment in segments))
        add_values(session, group_id, list(zip(segments, values, strict=True)))


def _options() -> argparse.Namespace:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BRITEKIT_DATA") or beside))
    parser.add_argument("--seconds", type=int, default=600, help="of each recording (default: 600)")
    parser.add_argument("--rounds", type=int, default=5, help="of each step (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a minute, twice, to try the script")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
