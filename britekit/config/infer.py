"""Section `infer`: how recordings are scored and how scores become labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from britekit.config.fields import Problem, Section, setting


@dataclass
class InferConfig(Section):
    """Settings of inference."""

    SECTION: ClassVar[str] = "infer"
    ALIASES: ClassVar[dict[str, str]] = {"autocast": "precision"}

    segment_len: float | None = setting(None, "SED heads: length of labels; null = as long as the sounds", "s", above=0)
    overlap: float = setting(0.0, "overlap of neighboring windows", "s", low=0)
    min_score: float = setting(0.8, "lowest score of a label", low=0, high=1)
    num_threads: int = setting(3, "recordings decoded in parallel", low=1)
    precision: Literal["f32", "bf16"] = setting("f32", "bf16: faster where the processor has it, less exact")
    audio_power: float = setting(0.7, "exponent on normalized spectrograms before scoring", above=0)
    scaling_coefficient: float = setting(1.0, "Platt coefficient")
    scaling_intercept: float = setting(0.0, "Platt intercept")
    label_field: Literal["names", "codes", "alt_names", "alt_codes"] = setting("codes", "content of a label")
    block_size: int = setting(200, "spectrograms per pass through a model", low=1)
    lower_min_if_confirmed: bool = setting(False, "lower threshold for classes that are confirmed in a recording")
    raise_min_to_confirm: float = setting(
        0.5, "how far above min_score a score must be to confirm a class", low=0, high=1
    )
    confirmed_if_seconds: float = setting(8.0, "how long it must stay there", "s", above=0)
    lower_min_factor: float = setting(0.6, "factor on min_score for confirmed classes", low=0, high=1)
    calibration: str | None = setting(None, "calibration file; null = scaling_coefficient and scaling_intercept")
    backend: Literal["auto", "torch", "openvino"] = setting("auto", "runtime; auto on a CPU prefers exports")
    occurrence: str | None = setting(None, "where and when classes occur: pickle, database or CSV; null = not used")
    occurrence_use: Literal["prior", "list"] = setting("prior", "shift scores in log-odds, or withhold absent classes")
    occurrence_weight: float = setting(1.0, "prior: the shift is multiplied by this", low=0, high=10)
    occurrence_floor: float = setting(0.001, "lower values count as this; list: withheld below", above=0, below=0.5)
    occurrence_base: float | None = setting(
        None, "prior: value without a shift; null = the class's mean above 0", above=0, below=1
    )
    occurrence_unknown: list[str] | None = setting(
        None, "classes that the file need not know, whose scores stay; ['*'] = all"
    )
    screen: str | None = setting(None, "a student decides which windows the models see; null = all windows")
    test_screened: bool = setting(False, "rpt-test, calibrate and tune use scores that a screen left out, as 0")
    max_models: int | None = setting(None, "use at most this many checkpoints of the ensemble", low=1)
    window_s: float | None = setting(None, "SED heads: windows longer than the model's", "s", above=0)
    initial_offsets: list[float] | None = setting(None, "where windows of each member begin, in turn", "s", low=0)
    shift_s: float = setting(0.0, "average each window with ones earlier and later by this", "s", low=0)
    frame_taper: bool = setting(False, "where windows overlap, frames at their edges count less")
    quantile: float | None = setting(None, "labels of segment_len: quantile of frames; null = maximum", low=0, high=1)
    smoothing_s: float = setting(0.0, "average with neighbors up to this far, less with distance", "s", low=0)
    top_weight: float = setting(0.0, "multiply scores by the class's highest one, to this power", low=0, high=4)

    @classmethod
    def check(cls, name: str, value: Any) -> tuple[Any, str]:
        """Return the value and what is wrong with it; true and false of ``autocast`` are f32.

        It was on by default and meant 16 bits on a GPU alone: on a processor, both gave scores in 32 bits.
        """
        return super().check(name, "f32" if name == "precision" and isinstance(value, bool) else value)

    def relations(self) -> Iterator[Problem]:
        """Yield contradictions between inference fields."""
        if self.scaling_coefficient == 0:
            yield Problem(("infer.scaling_coefficient",), "0 makes every score equal; give another number")
        for name in ("top_weight", "quantile", "shift_s", "initial_offsets", "window_s") if self.screen else ():
            if getattr(self, name):
                why = "needs the score of every window" if name == "top_weight" else "is not possible with a screen"
                yield Problem((f"infer.{name}", "infer.screen"), f"{why}; leave out one of the two")
        if self.quantile is not None and self.segment_len is None:
            yield Problem(
                ("infer.quantile", "infer.segment_len"), "needs labels of one length; set infer.segment_len (--seg)"
            )
        if self.initial_offsets is None:
            return
        if not self.initial_offsets:
            yield Problem(("infer.initial_offsets",), "the list is empty; give a start for each member, or null")
        for name in ("overlap", "shift_s"):
            if getattr(self, name):
                yield Problem(
                    ("infer.initial_offsets", f"infer.{name}"),
                    f"windows of different members overlap already; set infer.{name} to 0, or leave this out",
                )

    def advice(self) -> Iterator[Problem]:
        """Yield settings that work but are probably not meant."""
        if self.scaling_coefficient < 0:
            yield Problem(
                ("infer.scaling_coefficient",), f"{self.scaling_coefficient:g} is negative: high scores become low"
            )
        if self.frame_taper and not (self.overlap or self.shift_s or self.initial_offsets):
            yield Problem(("infer.frame_taper",), "has no effect where windows do not overlap; set infer.overlap, too")
