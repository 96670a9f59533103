"""Print what the testers of an installed britekit answer, as JSON; run in a folder of `made_sets.write_public_set`.

Run by the interpreter of the public package or of this one; nothing but their public names is used.
"""

import json
import sys
import types
from pathlib import Path

sys.modules["openvino"] = None  # the public package would want exports

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

try:
    import librosa  # noqa: F401
except ImportError:  # the public package asks it for lengths of recordings
    sys.modules["librosa"] = types.ModuleType("librosa")
    sys.modules["librosa"].get_duration = lambda path=None, filename=None: soundfile.info(path or filename).duration

import britekit as bk  # noqa: E402

DETAILS = ("precision", "recall", "_secs")


def plain(value):
    """Return a value as lists and numbers; infinities as text."""
    if isinstance(value, dict):
        return {str(key): plain(x) for key, x in sorted(value.items())}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(x) for x in value]
    if hasattr(value, "columns"):
        return [list(map(str, value.columns[1:])), plain(value.to_numpy())]
    if isinstance(value, str):
        return value
    return None if value is None else "inf" if np.isinf(value) else round(float(value), 6)


def answers(tester):
    """Return all figures of one tester."""
    names = ("y_true_trained", "y_pred_trained", "y_true_annotated", "y_pred_annotated")
    tester.convert_to_numpy()
    tester.check_if_arrays_match()
    found = {name: getattr(tester, name) for name in names}
    found |= {f"{name}_df": getattr(tester, f"{name}_df") for name in names}
    for kind in ("pr", "roc"):
        stats = getattr(tester, f"get_{kind}_auc_stats")()
        found |= {name: value for name, value in stats.items() if "_auc" in name or name.startswith("roc_")}
    for threshold in (0.2, 0.5, 0.8):
        rates = tester.get_precision_recall(threshold)
        found |= {f"{key} at {threshold}": value for key, value in rates.items() if key.startswith(DETAILS[:2])}
        found |= {f"{key} at {threshold}": value for key, value in rates.items() if key.endswith(DETAILS[2])}
    for metric in ("macro_pr", "micro_pr", "macro_roc", "micro_roc"):
        found[metric] = tester.get_auc_metric(metric)
        found[f"{metric} of others"] = tester.get_auc_metric(metric, tester.y_pred_trained**2 / 2)
    found["others"] = tester.get_non_annotated_class_details()
    found["indexes"] = [tester.trained_class_indexes, tester.annotated_class_indexes]
    found["line"] = tester.interpolate([0, 0.3, 1], [0.1, 0.7, 0.9])
    found["back"] = tester.interpolate([1, 0.4, 0], [0.1, 0.7, 0.9], increasing=False, decimal_places=1)
    found["text"] = tester.list_to_string(["a", "b"])
    return plain(found)


segment = bk.PerSegmentTester("annotations.csv", ".", "csv", "out/s", 0.5)
segment.initialize()
segment.get_recording_info()
block = bk.PerBlockTester("blocks.csv", ".", "csv", "out/b", 0.5, 12)
recording = bk.PerRecordingTester("whole.csv", ".", "csv", "out/r", 0.5, 0.1)
result = {"segment": answers(segment)}
for name, tester in (("block", block), ("recording", recording)):
    tester.run()
    result[name] = answers(tester)
result["segment"]["durations"] = plain(segment.recording_duration)
result["segment"]["cells"] = [segment.get_segments(a, b) for a, b in ((4.0, 5.0), (2.5, 6.4), (0, 2.8), (2.8, 9.2))]
Path("answers.json").write_text(json.dumps(result))
