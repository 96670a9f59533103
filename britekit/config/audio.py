"""Section `audio`: how a recording becomes spectrograms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from britekit.config.fields import Problem, Section, setting, show

# 0.009 s at 24 kHz are 216 samples, though the product of the two floats is 215.99999999999997.
_ROUNDING = 1e-6
# Far beyond any use; a damaged checkpoint or a slip of the finger must not ask for all memory.
_MOST_PIXELS = 1 << 24
_MOST_SAMPLES = 100_000_000


Channels = Literal["best", "mean", "each"] | int


@dataclass
class AudioConfig(Section):
    """Settings of decoding, resampling and spectrograms; stored in each checkpoint."""

    SECTION: ClassVar[str] = "audio"
    ALIASES: ClassVar[dict[str, str]] = {"choose_channel": "channels"}

    spec_duration: float = setting(5.0, "length of a segment and its spectrogram", "s", above=0)
    spec_height: int = setting(128, "frequency rows of a spectrogram", "px", low=16)
    spec_width: int = setting(480, "time columns of a spectrogram", "px", low=32)
    win_length: float = setting(0.055, "analysis window, in seconds at any sampling rate", "s", above=0)
    max_freq: int = setting(8000, "highest frequency shown", "Hz", above=0)
    min_freq: int = setting(100, "lowest frequency shown", "Hz", low=0)
    sampling_rate: int = setting(18000, "audio is resampled to this; about 2.1 x max_freq", "Hz", above=0)
    channels: Channels = setting("best", "used of several, or the number of one", low=1)
    check_seconds: float = setting(3.0, "length examined to choose the channel", "s", above=0)
    freq_scale: Literal["mel", "linear", "log"] = setting("mel", "spacing of the frequency rows")
    power: float = setting(1.0, "1 = magnitude, 2 = power", above=0)
    decibels: bool = setting(False, "decibel amplitudes")
    top_db: float = setting(80.0, "range kept below the maximum (with decibels)", "dB", above=0)
    db_power: float = setting(1.0, "exponent after the conversion to decibels", above=0)
    log_freq_gain: float = setting(0.6, "boost of high frequencies on the log scale")
    n_fft: int | None = setting(None, "FFT size; null = twice the window", "samples", low=16)
    mel_norm: Literal["slaney"] | None = setting(None, "area normalization of the mel filters, or none")

    @classmethod
    def check(cls, name: str, value: Any) -> tuple[Any, str]:
        """Return the value and what is wrong with it; ``channels`` takes true and false of ``choose_channel``."""
        if name != "channels":
            return super().check(name, value)
        if isinstance(value, bool):
            return "best" if value else "mean", ""
        if value in ("best", "mean", "each") or (isinstance(value, int) and value >= 1):
            return value, ""
        return value, f"{show(value)} is not best, mean, each, or the number of a channel (>= 1)"

    def __getattr__(self, name: str) -> Any:
        return self.channels == "best" if name == "choose_channel" else super().__getattr__(name)

    def stored(self) -> dict[str, Any]:
        """Return the settings as databases and checkpoints keep them.

        ``best`` and ``mean`` are stored as the ``choose_channel`` of former versions, so that equal settings have equal
        bytes; `with_channels` reads both.
        """
        return stored_audio(asdict(self))

    @property
    def window_samples(self) -> int:
        """Samples in one analysis window."""
        return math.floor(self.win_length * self.sampling_rate + _ROUNDING)

    @property
    def hop_samples(self) -> int:
        """Samples between neighboring columns."""
        return math.floor(self.spec_duration * self.sampling_rate / self.spec_width + _ROUNDING)

    @property
    def fft_samples(self) -> int:
        """Samples in one Fourier transform."""
        return self.n_fft if self.n_fft is not None else 2 * self.window_samples

    def relations(self) -> Iterator[Problem]:
        """Yield contradictions between audio fields."""
        if self.min_freq >= self.max_freq:
            yield Problem(
                ("audio.min_freq", "audio.max_freq"), f"{self.min_freq} Hz is not below max_freq, {self.max_freq} Hz"
            )
        if self.freq_scale == "log" and self.min_freq < 1:
            yield Problem(("audio.min_freq", "audio.freq_scale"), "the log scale needs at least 1 Hz")
        if self.max_freq > self.sampling_rate / 2:
            yield Problem(
                ("audio.max_freq", "audio.sampling_rate"),
                f"{self.max_freq} Hz is above half of sampling_rate, {self.sampling_rate} Hz; "
                f"set sampling_rate to about {math.ceil(2.1 * self.max_freq)}",
            )
        if self.win_length >= self.spec_duration:
            yield Problem(
                ("audio.win_length", "audio.spec_duration"),
                f"{self.win_length:g} s is not shorter than spec_duration, {self.spec_duration:g} s",
            )
        if self.window_samples < 16:
            yield Problem(
                ("audio.win_length", "audio.sampling_rate"),
                f"{self.win_length:g} s at {self.sampling_rate} Hz is a window of {self.window_samples} "
                "samples; at least 16 are needed",
            )
        if self.n_fft is not None and self.n_fft < self.window_samples:
            yield Problem(
                ("audio.n_fft", "audio.win_length", "audio.sampling_rate"),
                f"{self.n_fft} is below the {self.window_samples} samples of a window; give at least as many",
            )
        if self.spec_height * self.spec_width > _MOST_PIXELS:
            yield Problem(
                ("audio.spec_height", "audio.spec_width"),
                f"{self.spec_height} x {self.spec_width} is larger than any spectrogram; "
                f"at most {_MOST_PIXELS} pixels are possible",
            )
        if self.spec_duration * self.sampling_rate > _MOST_SAMPLES:
            yield Problem(
                ("audio.spec_duration", "audio.sampling_rate"),
                f"{self.spec_duration:g} s at {self.sampling_rate} Hz are more than the {_MOST_SAMPLES} "
                "samples that a segment may have",
            )
        elif self.fft_samples * self.spec_width > _MOST_SAMPLES:
            yield Problem(
                ("audio.n_fft" if self.n_fft else "audio.win_length", "audio.sampling_rate"),
                f"an FFT of {self.fft_samples} samples for {self.spec_width} columns takes too much memory; "
                f"at most {_MOST_SAMPLES // self.spec_width} samples are possible",
            )
        if self.hop_samples < 1:
            yield Problem(
                ("audio.spec_width", "audio.spec_duration", "audio.sampling_rate"),
                f"{self.spec_width} columns are more than the samples of {self.spec_duration:g} s at "
                f"{self.sampling_rate} Hz",
            )

    def advice(self) -> Iterator[Problem]:
        """Yield settings that work but lose something."""
        if self.sampling_rate < 2.05 * self.max_freq:
            yield Problem(
                ("audio.sampling_rate", "audio.max_freq"),
                f"{self.sampling_rate} Hz is close to twice max_freq; "
                f"about {math.ceil(2.1 * self.max_freq)} Hz is advised",
            )
        for name in ("spec_height", "spec_width"):
            if getattr(self, name) % 32:
                size = getattr(self, name)
                yield Problem(
                    (f"audio.{name}",),
                    f"{size} is not a multiple of 32, as networks want; {max(32, round(size / 32) * 32)} is",
                )
        samples = self.spec_duration * self.sampling_rate
        drift = abs(self.hop_samples * self.spec_width - samples) / samples
        if drift > 0.01:
            yield Problem(
                ("audio.spec_width", "audio.spec_duration", "audio.sampling_rate"),
                f"{self.spec_width} columns of {self.hop_samples} samples differ from spec_duration by "
                f"{drift:.1%}; {self._without_drift()} has no drift",
            )
        if self.freq_scale == "mel" and (empty := self.empty_mel_filters()):
            yield Problem(
                ("audio.spec_height", "audio.n_fft", "audio.win_length"),
                f"{empty} of {self.spec_height} mel filters contain no frequency of an FFT of "
                f"{self.fft_samples} samples and stay black; use fewer rows or a larger n_fft",
            )

    def empty_mel_filters(self) -> int:
        """Return how many mel filters contain no FFT bin."""
        low, high = (2595.0 * math.log10(1.0 + hz / 700.0) for hz in (self.min_freq, self.max_freq))
        count = self.spec_height
        edges = [
            700.0 * (10.0 ** ((low + (high - low) * step / (count + 1)) / 2595.0) - 1.0) for step in range(count + 2)
        ]
        bin_hz = self.sampling_rate / self.fft_samples
        # A triangle is empty if no bin lies strictly between its outer edges.
        return sum(
            (math.floor(left / bin_hz) + 1) * bin_hz >= right for left, right in zip(edges, edges[2:], strict=False)
        )

    def _without_drift(self) -> str:
        """Name the nearest width, or else rate, at which the hop is a whole number of samples."""
        samples = self.spec_duration * self.sampling_rate
        if samples == int(samples):
            widths = [w for w in range(32, 2 * self.spec_width) if int(samples) % w == 0]
            if widths:
                width = min(widths, key=lambda w: abs(w - self.spec_width))
                if abs(width - self.spec_width) <= self.spec_width / 8:
                    return f"a width of {width}"
        hop = max(1, round(samples / self.spec_width))
        return f"a sampling_rate of {round(hop * self.spec_width / self.spec_duration)}"


def stored_audio(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of the section as files keep them, see `AudioConfig.stored`."""
    return {
        ("choose_channel" if is_old else name): value == "best" if is_old else value
        for name, value in settings.items()
        for is_old in [name == "channels" and value in ("best", "mean")]
    }


def with_channels(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings from a file with ``channels`` in place of the ``choose_channel`` of former versions."""
    return {
        ("channels" if is_old else name): AudioConfig.check("channels", value)[0] if is_old else value
        for name, value in stored.items()
        for is_old in [name == "choose_channel"]
    }
