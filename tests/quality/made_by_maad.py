"""Acoustic indices of a few signals by scikit-maad, for the table `maad.csv` beside this file.

    python tests/quality/made_by_maad.py RECORDINGS > tests/quality/maad.csv

in an environment with scikit-maad (1.5.2) and soundfile; RECORDINGS is the folder `field` of real recordings. Rows with
the bands "papers" are what britekit computes by default, those with "maad" the defaults of scikit-maad.
"""

import csv
import sys
from pathlib import Path

import numpy as np

NAMES = ("ACI", "ADI", "AEI", "BI", "NDSI", "H", "Hf", "Ht")
RECORDINGS = ("spinetail.wav", "birds_10s.wav", "great_plains_toad.wav")


def signals():
    """Yield (name, rate, samples)."""
    for rate in (8000, 22050, 44100, 96000):
        rng = np.random.default_rng(rate)
        count = 12 * rate + 137
        t = np.arange(count) / rate
        noise = rng.normal(0, 0.02, count)
        sound = noise + 0.01 * np.cumsum(rng.normal(0, 0.05, count)) / np.sqrt(np.arange(1, count + 1))
        for number in range(18):
            start, hz = rng.uniform(0, 11), rng.uniform(0.02, 0.4) * rate
            where = (t >= start) & (t < start + 0.6)
            sweep = 2 * np.pi * (hz * (t[where] - start) + 0.03 * rate * (t[where] - start) ** 2)
            sound[where] += (0.05 + 0.02 * number) * np.hanning(where.sum()) * np.sin(sweep)
        yield f"calls {rate}", rate, (sound + 0.003).astype(np.float32)
        yield f"noise {rate}", rate, noise.astype(np.float32)


def indices(samples, rate, bands):
    from maad import features, sound

    samples = samples.astype(np.float64)
    amplitude, _, hz, _ = sound.spectrogram(samples, rate, mode="amplitude")
    power, _, _, _ = sound.spectrogram(samples, rate)
    hf, ht = features.frequency_entropy(power)[0], features.temporal_entropy(samples)
    known = {"ACI": features.acoustic_complexity_index(amplitude)[2], "H": hf * ht, "Hf": hf, "Ht": ht}
    if bands == "papers":
        tops = {"ADI": 10_000, "AEI": 10_000, "BI": 8000, "NDSI": 11_000}
        more = {
            "ADI": lambda: features.acoustic_diversity_index(amplitude, hz, fmax=10_000, bin_step=1000),
            "AEI": lambda: features.acoustic_eveness_index(amplitude, hz, fmax=10_000, bin_step=1000),
            "BI": lambda: features.bioacoustics_index(amplitude, hz, flim=(2000, 8000)),
            # Bands are named by the bin of 1 kHz that lies nearest, both ends included: 1 to 2, and 2 to 11 kHz.
            "NDSI": lambda: features.soundscape_index(power, hz, (2000, 10_000), (1000, 1001), R_compatible=None)[0],
        }
    else:
        tops = {"ADI": 20_000, "AEI": 20_000, "BI": 15_000, "NDSI": 11_000}
        more = {
            "ADI": lambda: features.acoustic_diversity_index(amplitude, hz),
            "AEI": lambda: features.acoustic_eveness_index(amplitude, hz),
            "BI": lambda: features.bioacoustics_index(amplitude, hz),
            "NDSI": lambda: features.soundscape_index(power, hz)[0],
        }
    return known | {name: compute() for name, compute in more.items() if tops[name] <= rate / 2}


if __name__ == "__main__":
    import soundfile

    real = []
    for name in RECORDINGS:
        samples, rate = soundfile.read(Path(sys.argv[1]) / name, dtype="float32", always_2d=True)
        real.append((name, rate, samples[:, 0]))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["signal", "bands", *NAMES])
    for name, rate, samples in [*signals(), *real]:
        for bands in ("papers", "maad"):
            found = indices(samples, rate, bands)
            table.writerow([name, bands, *(f"{found[each]:.6f}" if each in found else "" for each in NAMES)])
