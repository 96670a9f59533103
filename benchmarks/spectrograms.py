"""How fast are spectrograms here, beside a plain torchaudio MelSpectrogram? Prints ratios of one run.

    python benchmarks/spectrograms.py [RECORDING]

Rounds alternate, and the best of each counts, so that a busy machine disturbs both alike. With a recording (a
minute or more), the share of each step in reading it is printed too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from britekit.audio.channels import MonoSignal
from britekit.audio.decoding import AudioReader
from britekit.audio.spectrogram import compute_spectrograms
from britekit.config.audio import AudioConfig

SEGMENTS, ROUNDS = 64, 10


def best(*works: Callable[[], object]) -> list[float]:
    """Return the shortest time of each piece of work, in alternating rounds after one warm-up."""
    times = [[] for _ in works]
    for _ in range(ROUNDS + 1):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [min(taken[1:]) for taken in times]


def against_torchaudio() -> None:
    """Print times real time and ratios with one and with two threads."""
    import torch
    from torchaudio.transforms import MelSpectrogram

    cfg = AudioConfig()
    duration = cfg.spec_duration
    signal = np.random.default_rng(0).standard_normal(int(SEGMENTS * duration * cfg.sampling_rate)).astype(np.float32)
    starts = [k * duration for k in range(SEGMENTS)]
    segments = torch.from_numpy(signal.reshape(SEGMENTS, -1))
    transform = MelSpectrogram(
        cfg.sampling_rate,
        n_fft=cfg.fft_samples,
        win_length=cfg.window_samples,
        hop_length=cfg.hop_samples,
        f_min=cfg.min_freq,
        f_max=cfg.max_freq,
        n_mels=cfg.spec_height,
        power=1.0,
    )
    ours = compute_spectrograms(signal, starts, cfg)[1]
    theirs = transform(segments).numpy()[:, :, : cfg.spec_width]
    print(f"largest difference / largest value = {np.abs(ours - theirs).max() / theirs.max():.1e}")
    with ThreadPoolExecutor(2) as pool:

        def two_threads() -> None:
            list(pool.map(lambda part: compute_spectrograms(signal, part, cfg), (starts[::2], starts[1::2])))

        for threads, work in ((1, lambda: compute_spectrograms(signal, starts, cfg)), (2, two_threads)):
            torch.set_num_threads(threads)
            mine, other = best(work, lambda: transform(segments))
            real = SEGMENTS * duration
            print(
                f"{threads} thread(s): ours (with normalization) {real / mine:.0f} x real time, "
                f"torchaudio {real / other:.0f} x, ratio = {other / mine:.2f}"
            )


def steps(path: str) -> None:
    """Print how long decoding, mixing with resampling, and spectrograms of a recording take."""
    cfg = AudioConfig()
    with AudioReader(path) as reader:
        blocks = list(reader.blocks())
        rate, channels, seconds = reader.rate, reader.channels, reader.seconds_read

    def decode() -> None:
        with AudioReader(path) as again:
            for _ in again.blocks():
                pass

    def resample() -> np.ndarray:
        mono = MonoSignal(channels, rate, cfg)
        return np.concatenate([*(mono.push(block) for block in blocks), mono.finish()])

    signal = resample()
    starts = [k * cfg.spec_duration for k in range(int(seconds / cfg.spec_duration))]
    taken = best(decode, resample, lambda: compute_spectrograms(signal, starts, cfg))
    for name, time_s in zip(("decode", "mix and resample", "spectrograms"), taken, strict=True):
        print(f"{name}: {seconds / time_s:.0f} x real time, {time_s / sum(taken):.0%} of the three")


if __name__ == "__main__":
    against_torchaudio()
    if len(sys.argv) > 1:
        steps(sys.argv[1])
