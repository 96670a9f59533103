"""Print what the Tuner of an installed britekit finds without training, as JSON; run in a folder made by the test.

Run by the interpreter of the public package or of this one; nothing but their public names is used. With an argument
of `rounded`, scores of this one are rounded as label files of the public package round them.
"""

import csv
import json
import sys
from pathlib import Path

sys.modules["openvino"] = None  # the public package would want exports

import numpy as np  # noqa: E402
import torch  # noqa: E402

import britekit as bk  # noqa: E402

torch.set_num_threads(1)
if "rounded" in sys.argv:
    from britekit.tuning.trial import TestSet

    measure = TestSet.measure

    def of_rounded(self, scores, cfg):
        """Return figures of scores with three decimals."""
        scores.scores = np.round(scores.scores.astype(np.float64), 3).astype(np.float32)
        return measure(self, scores, cfg)

    TestSet.measure = of_rounded

BASE = {
    "audio_power": 0.7, "overlap": 0.0, "segment_len": None, "scaling_coefficient": 1.0, "max_models": None,
    "min_score": 0.8,
}  # fmt: skip
POWER = {"name": "audio_power", "type": "float", "bounds": [0.5, 1.0], "step": 0.5}
SCALES = {"name": "scaling_coefficient", "type": "float", "bounds": [0.5, 1.5], "step": 1.0}
LENGTHS = {"name": "segment_len", "type": "categorical", "choices": [2, 5]}
CASES = {
    "powers": ("basic", [POWER], {}, "macro_roc"),
    "scales": ("basic", [SCALES], {}, "combo_pr"),
    "members": ("both", [{"name": "max_models", "type": "int", "bounds": [1, 2], "step": 1}], {}, "combo_roc"),
    "lengths": ("sed", [LENGTHS], {}, "macro_pr"),
    "overlap": ("basic", [{"name": "overlap", "type": "categorical", "choices": [1.0]}], {}, "macro_pr"),
    "min_score": ("basic", [{"name": "min_score", "type": "float", "bounds": [0.0, 0.5], "step": 0.5}], {}, "macro_pr"),
    # Last, since the public package leaves the labels of the last trial beside the recordings.
    "frames": ("sed", [{"name": "audio_power", "type": "categorical", "choices": [0.7]}], {}, "macro_pr"),
}

found = {}
cfg = bk.get_config()
for name, (folder, space, changes, metric) in CASES.items():
    cfg.misc.ckpt_folder = folder
    for key, value in {**BASE, **changes}.items():
        setattr(cfg.infer, key, value)
    out = Path("out", name)
    out.mkdir(parents=True)  # the public package expects it
    tuner = bk.Tuner("rec", str(out), "rec/annotations.csv", "logs", metric, space, skip_training=True)
    score, settings = tuner.run()
    with open(out / "metrics-details.csv") as file:
        trials = [{key: float(value) for key, value in row.items() if "AUC" in key} for row in csv.DictReader(file)]
    left = {key: getattr(cfg.infer, key) for key in BASE}
    found[name] = {"score": float(score), "settings": settings, "trials": trials, "left": left}
Path("answers.json").write_text(json.dumps(found))
