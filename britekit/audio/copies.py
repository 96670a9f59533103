"""Check that a compressed copy lacks nothing of its original, using independent decoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

from britekit.audio.decoding import AudioReader
from britekit.audio.pyav_decoder import PyavDecoder
from britekit.audio.soundfile_decoder import DecodingError
from britekit.errors import InputError

# Highest frequency in Hz that an MP3 of a sampling rate keeps, measured with noise, without LAME's low-pass.
_HELD_HZ = {16000: 7200, 22050: 10400, 24000: 11200, 32000: 15200, 44100: 19800, 48000: 20200}
_HELD_SHARE = 0.45
# Resampling keeps this share of the smaller band, and recorders are sensitive in this share of theirs.
_PASSED_SHARE = 0.91
_LOWEST_HZ = 5
_LEAST_CORRELATION = 0.99
_GAINS = (0.8, 1.25)
# RMS of the difference that is always tolerated in a second: two steps of 16 bits.
_UNHEARD = 2.0**-14
_FRAME_S, _HOP_S, _BLOCK_S = 0.005, 0.0025, 10.0
_BAND_HZ, _NEIGHBORS_HZ = 1000.0, 3000.0
_EXCESS_DB, _PEAK_DB, _FRAMES = 12.0, 10.0, 4
_SILENT_DB, _NOISE_SHARE = -105.0, 0.2
_UNREAD_SHARE, _UNREAD_BYTES = 0.05, 1 << 16


class CoarseCopyError(InputError):
    """The copy differs from the original by more than coding noise; a higher bit rate may help."""


class HighSoundError(InputError):
    """The original has sound above the limit of the copy; ``hz`` is the highest that was found."""

    def __init__(self, text: str, hz: float) -> None:
        super().__init__(text)
        self.hz = hz


def held_by_mp3(rate: int) -> float:
    """Return the highest frequency in Hz that an MP3 of a sampling rate keeps."""
    return float(_HELD_HZ.get(rate, _HELD_SHARE * rate))


def check_copy(copy: Path, original: Path, codec_frame: int, on_read: Callable[[float], None] | None = None) -> None:
    """Compare an MP3 with its original; return if nothing is missing.

    The original is decoded by FFmpeg directly from the file, not through libsndfile and the header repair that fed the
    encoder. (A format that only FFmpeg can read is decoded by it again, and the bytes of its packets must make up the
    file.) The copy is decoded as users will read it. Delays are those stated in the MP3. Then

    - both have the same length, within a frame of the codec;
    - in each second and channel they correlate by 0.99 or more between 5 Hz and what MP3 holds (15.2 kHz
      at 32 kHz, 20.2 kHz at 48 kHz; at most 0.91 of either's own band, if the sampling rate changed), and are
      about equally loud. A silent second passes if the difference is less than two steps of 16 bits;
    - above that limit the original holds only noise: within 10 s no band of 1 kHz exceeds its own median by 12 dB for
      10 ms, and no line stands 10 dB above both its sides. Noise that is steady in time and smooth in frequency counts
      as the recorder's own and may be lost, as may everything in the last 9 % of the original's band, where recorders
      attenuate.

    Parameters
    ----------
    codec_frame
        Samples per frame of the copy's codec.
    on_read
        Called with the seconds of each block.

    Raises
    ------
    CoarseCopyError
        A second of the copy correlates too little.
    HighSoundError
        The original holds sound above what the copy can hold.
    InputError
        Anything else differs. The message starts with neither name.
    """
    try:
        source = PyavDecoder(original)
    except DecodingError as error:
        raise InputError(f"a second decoder cannot read it ({error})") from error
    with AudioReader(copy, warn=False) as reader:
        try:
            _compare(source, reader, codec_frame, on_read)
        finally:
            source.close()
    with AudioReader(original, warn=False) as first:
        made_by_ffmpeg = isinstance(first._decoder, PyavDecoder)
    if made_by_ffmpeg:
        _check_packets(original)


def _compare(
    source: PyavDecoder, reader: AudioReader, codec_frame: int, on_read: Callable[[float], None] | None
) -> None:
    held_hz = held_by_mp3(reader.rate)
    if source.rate != reader.rate:
        held_hz = min(held_hz, _PASSED_SHARE * min(source.rate, reader.rate) / 2)
    above = _Above(source.rate, held_hz)
    blocks = reader.blocks(1.0)
    held = np.empty((reader.channels, 0), np.float32)
    read = copied = second = 0
    while True:
        try:
            given = source.read(source.rate).T
        except DecodingError as error:
            raise InputError(f"a second decoder breaks at {read / source.rate:.3f} s ({error})") from error
        while held.shape[1] < reader.rate and (block := next(blocks, None)) is not None:
            held = np.concatenate([held, block], axis=1)
        part, held = held[:, : reader.rate], held[:, reader.rate :]
        if not given.shape[1] and not part.shape[1]:
            break
        read, copied = read + given.shape[1], copied + part.shape[1]
        if given.shape[0] != reader.channels:
            given = given.mean(axis=0, keepdims=True)
        above.push(given)
        # A missing end, or a remainder shorter than a frame, is covered by the check of length.
        mine, other = given.shape[1] / source.rate * reader.rate, part.shape[1]
        if abs(mine - other) <= codec_frame and (not second or codec_frame < min(mine, other)):
            _compare_second(given, part, source.rate, reader.rate, held_hz, second)
        second += 1
        if on_read is not None:
            on_read(given.shape[1] / source.rate)
    if reader.damaged_at is not None:
        raise InputError(f"its MP3 breaks at {reader.damaged_at:.3f} s ({reader.damage})")
    lacking = read / source.rate - copied / reader.rate
    if abs(lacking) * reader.rate > codec_frame:
        raise InputError(
            f"its MP3 lasts {copied / reader.rate:.3f} s, and a second decoder finds "
            f"{read / source.rate:.3f} s in the original"
        )
    above.finish()


def _compare_second(
    given: np.ndarray, part: np.ndarray, rate: int, copy_rate: int, held_hz: float, second: int
) -> None:
    """Compare one second of both, (C, n) and (C, m), by their spectra.

    Bins are 1 Hz wide in both.
    """
    band = slice(_LOWEST_HZ, int(held_hz))
    ours = fft.rfft(given, rate, axis=1)[:, band] / rate
    theirs = fft.rfft(part, copy_rate, axis=1)[:, band] / copy_rate
    for x, y in zip(ours, theirs, strict=True):
        power, copied = float(np.vdot(x, x).real), float(np.vdot(y, y).real)
        common = float(np.vdot(x, y).real)
        correlation = common / (power * copied) ** 0.5 if power and copied else 0.0
        scale = _GAINS[0] <= common / power <= _GAINS[1] if power else False
        if correlation >= _LEAST_CORRELATION and scale:
            continue
        lacking = power * (1.0 - correlation**2) if scale else max(power, copied)
        if (2.0 * lacking) ** 0.5 > _UNHEARD:
            raise CoarseCopyError(
                f"in second {second} its MP3 correlates by {max(0.0, correlation):.3f} with it, less than "
                f"{_LEAST_CORRELATION}"
            )


class _Above:
    """Detects sound of the original above the limit of the copy, in all channels, in blocks of 10 s."""

    def __init__(self, rate: int, held_hz: float) -> None:
        self._rate, self._held_hz = rate, held_hz
        self._size, self._hop = max(8, round(_FRAME_S * rate)), max(4, round(_HOP_S * rate))
        self._window = np.hanning(self._size + 2)[1:-1].astype(np.float32)
        # A sine of full scale has power 1.
        self._window *= 2.0 / self._window.sum()
        self._hz = np.arange(self._size // 2 + 1) * rate / self._size
        first = int(np.searchsorted(self._hz, held_hz + rate / self._size))
        width = max(1, round(_BAND_HZ * self._size / rate))
        last = int(np.searchsorted(self._hz, _PASSED_SHARE * rate / 2))
        self._edges = np.arange(first, last, width)
        self._first, self._last = first, last
        self._rest: np.ndarray | None = None
        self._powers: list[np.ndarray] = []
        self._sum: np.ndarray | None = None
        self._frames = self._seconds = 0.0

    def push(self, samples_Cn: np.ndarray) -> None:
        if not len(self._edges):
            return
        if self._rest is not None:
            samples_Cn = np.concatenate([self._rest, samples_Cn], axis=1)
        count = max(0, (samples_Cn.shape[1] - self._size) // self._hop + 1)
        self._rest = samples_Cn[:, count * self._hop :]
        if not count:
            return
        frames = sliding_window_view(samples_Cn, self._size, axis=1)[:, :: self._hop][:, :count]
        powers = np.square(np.abs(fft.rfft(frames * self._window, axis=2)))
        self._sum = powers.sum(axis=1) + (0 if self._sum is None else self._sum)
        self._powers.append(np.add.reduceat(powers[..., : self._last], self._edges, axis=2))
        self._frames += count
        if self._frames * self._hop >= _BLOCK_S * self._rate:
            self.finish()

    def finish(self) -> None:
        """Check the samples pushed since the last call."""
        if not self._frames:
            return
        assert self._sum is not None
        levels = 10 * np.log10(np.concatenate(self._powers, axis=1) + 1e-20)
        # If gaps are filled with zeros, the recorder's noise is in the rest, unless the rest is short, as calls are.
        noisy = (levels > _SILENT_DB).any(axis=(0, 2))
        judged = levels[:, noisy] if noisy.mean() > _NOISE_SHARE else levels
        floor = np.maximum(np.median(judged, axis=1, keepdims=True), _SILENT_DB)
        loud = (levels > floor + _EXCESS_DB).sum(axis=1) >= _FRAMES
        mean = 10 * np.log10(self._sum / self._frames + 1e-20)
        reach = max(2, round(_NEIGHBORS_HZ * self._size / self._rate))
        padded = np.pad(mean, ((0, 0), (reach, reach)), mode="edge")
        sides = sliding_window_view(padded, reach, axis=1)
        medians = np.median(sides, axis=2)
        left, right = medians[:, : mean.shape[1]], medians[:, -mean.shape[1] :]
        peak = mean - np.maximum(np.maximum(left, right), _SILENT_DB) > _PEAK_DB
        bins = [*self._edges[loud.any(axis=0)], *np.flatnonzero(peak[:, : self._last].any(axis=0))]
        found = self._hz[[at for at in bins if at >= self._first]]
        if len(found):
            raise HighSoundError(
                f"it holds sound at {found.max() / 1000:.1f} kHz between {self._seconds:.0f} and "
                f"{self._seconds + self._frames * self._hop / self._rate:.0f} s, above the "
                f"{self._held_hz / 1000:.1f} kHz that its MP3 can hold",
                float(found.max()),
            )
        self._seconds += self._frames * self._hop / self._rate
        self._powers, self._sum, self._frames = [], None, 0.0


def _check_packets(original: Path) -> None:
    """Refuse a recording that one decoder alone can read if its packets do not make up the file."""
    with original.open("rb") as file, av.open(file, metadata_errors="ignore") as container:
        read = sum(packet.size for packet in container.demux(container.streams.audio[0]))
    size = original.stat().st_size
    if size - read > _UNREAD_SHARE * size + _UNREAD_BYTES:
        raise InputError(f"{size - read} of its {size} bytes are in no packet of sound")
