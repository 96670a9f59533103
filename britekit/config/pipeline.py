"""Section `pipeline`: what the stages of `dvc.yaml` need beyond the options of their commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from britekit.config.fields import Problem, Section, setting


@dataclass
class PipelineConfig(Section):
    """Settings of the pipeline."""

    SECTION: ClassVar[str] = "pipeline"

    seeds: list[int] = setting(lambda: [1, 2], "one training run and one ensemble member each", low=0)
    extract_overlap: float = setting(0.0, "overlap of neighboring segments in the stage extract", "s", low=0)
    extract_variants: int = setting(0, "variants of each segment, stored by extract", late=True, low=0, high=20)
    variant_noise: str | None = setting(None, "folder of background noise for these variants; null = none", late=True)
    test_annotations: str = setting("data/test/annotations.csv", "annotations of the test recordings")
    granularity: Literal["segment", "block", "recording"] = setting("segment", "of the stage rpt-test")
    calibration_cutoff: float = setting(0.0, "lowest score used to fit the calibration", low=0, below=1)
    rounds: int = setting(0, "students in turn that learn from data/unlabelled; 0 = none", late=True, low=0, high=4)
    pretrain: bool = setting(False, "train from a backbone that is pre-trained on data/unlabelled", late=True)
    pseudo_power: float = setting(
        1.5, "exponent on scores of teachers; above 1 lowers uncertain ones most", late=True, above=0
    )
    pseudo_windows: int = setting(20000, "most windows of unlabeled recordings per round", late=True, low=1)
    bento_name: str = setting("britekit-ensemble", "name of the packaged service")
    intended_use: str | None = setting(None, "purpose that the model card states; null = a general sentence")
    promote_margin: float = setting(0.01, "how much worse a model may be to be promoted", low=0, below=1)
    sample: str | None = setting(None, "sample recording on the service's page; null = none")

    def relations(self) -> Iterator[Problem]:
        """Yield an empty or repeating list of seeds, and a name no Bento can have."""
        if self.variant_noise is not None and not self.extract_variants:
            yield Problem(
                ("pipeline.variant_noise", "pipeline.extract_variants"), "needs variants; set extract_variants, too"
            )
        if not self.seeds:
            yield Problem(("pipeline.seeds",), "the list is empty; at least one seed is needed")
        elif len(set(self.seeds)) < len(self.seeds):
            yield Problem(("pipeline.seeds",), f"{self.seeds} names a seed twice")
        letters = set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
        if not set(self.bento_name) <= letters or not self.bento_name[0].isalnum():
            yield Problem(
                ("pipeline.bento_name",),
                f'"{self.bento_name}" is not made of lower-case letters, digits, "-", "_" and "."',
            )
