"""Every setting that a stage reads is watched by `dvc.yaml`, or excused here with its reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from britekit.config.base import SECTIONS
from britekit.config.fields import declared
from tests.pipeline.conftest import REPOSITORY, TRACING, Project

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.timeout(600)]

AUDIO = [f"audio.{name}" for name in declared(SECTIONS["audio"])]
# What a stage reads although DVC need not run it again.
EXCUSED = {
    "collect": ["misc.request_pause"],  # speed
    "extract": [],
    "pickle": [],
    "train": [
        "misc.force_cpu",  # where it trains, as another machine would
        "misc.ckpt_folder",  # outside the pipeline only
    ],
    "analyze": [
        *AUDIO, "train.sed_fps",  # those of the checkpoints, which stand over params.yaml
        "infer.block_size", "infer.num_threads",  # speed
        "infer.min_score", "infer.lower_min_if_confirmed", "infer.lower_min_factor",  # --min-score 0
        "infer.raise_min_to_confirm", "infer.confirmed_if_seconds",  # the same
        "infer.calibration", "infer.scaling_coefficient", "infer.scaling_intercept",  # --raw
        "service.drift_folder",  # statistics beside the results
    ],
    # From the manifest in results/labels; the class list is for labels of other programs.
    "calibrate": ["infer.label_field", "misc.classes_file"],
    "rpt-test": ["infer.label_field", "misc.classes_file"],
    "package": ["misc.force_cpu", *AUDIO],  # packaged are exports, which run on CPUs, with their own audio settings
}  # fmt: skip


def watched(stage: dict) -> Iterator[str]:
    """Yield the settings whose change makes DVC run a stage again."""
    stage = stage.get("do", stage)
    texts = [stage["cmd"], *stage["deps"]]
    for section, kind in SECTIONS.items():
        for name in declared(kind):
            full = f"{section}.{name}"
            listed = full in stage["params"] or section in stage["params"]
            if listed or any("${" + full + "}" in text for text in texts):
                yield full


@pytest.mark.parametrize("stage", EXCUSED)
def test_what_a_stage_reads_is_watched(done_project: Project, stage: str) -> None:
    stages = yaml.safe_load((done_project.folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert list(stages) == list(EXCUSED)
    read = set((done_project.trace / stage).read_text(encoding="utf-8").splitlines())
    seen_by_dvc = set(watched(stages[stage]))
    assert not read - seen_by_dvc - set(EXCUSED[stage]), f"add them to {stage} in dvc.yaml"
    assert not seen_by_dvc & set(EXCUSED[stage])


def test_reading_is_told_from_what_the_configuration_does_with_itself(tmp_path) -> None:
    """The witness of the test above: one field and a copied section, but not a merged and saved whole."""
    code = """
from dataclasses import asdict
from britekit.config import resolve, to_dict
cfg = resolve()
to_dict(cfg), cfg.audio.top_db, asdict(cfg.pipeline)
"""
    paths = os.pathsep.join([str(TRACING), str(REPOSITORY)])
    told = {"DVC_STAGE": "a@1", "SETTINGS_TRACE": str(tmp_path), "PYTHONPATH": paths}
    (tmp_path / "reader.py").write_text(code)
    subprocess.run([sys.executable, "reader.py"], cwd=tmp_path, env={**os.environ, **told}, check=True)
    pipeline = {f"pipeline.{name}" for name in declared(SECTIONS["pipeline"])}
    assert set((tmp_path / "a").read_text().split()) == {"audio.top_db", *pipeline}
