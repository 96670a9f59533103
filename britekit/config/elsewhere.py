"""Settings of public britekit that have no field here, with explanations for users who migrate."""

from __future__ import annotations

_FAST = "spectrograms are computed fast enough without a cache"
_DISTILLED = "a model is not trained by the scores of others here"
# Its init still writes them to base_config.yaml.
_GONE = "version 1.8.4 reads it no longer either"
_SHARE = 'take fewer segments of a recording with "britekit extract-all --max-spec"'

NOT_HERE = {
    "audio": {
        "use_spec_cache": _FAST,
        "chunks_per_spec": _FAST,
        "energy_max_freq": _GONE,
        "energy_min_freq": _GONE,
        "energy_threshold": _GONE,
        "median_threshold1": _GONE,
        "median_threshold2": _GONE,
        "sum_threshold1": _GONE,
        "sum_threshold2": _GONE,
    },
    "train": {
        "frame_label_pickle": "labels of frames cannot be given here",
        "teacher_targets_pickle": _DISTILLED,
        "distillation_weight": _DISTILLED,
        "distillation_temperature": _DISTILLED,
        "teacher_only_if_no_frame": _DISTILLED,
        "max_per_recording": _SHARE,
        "max_per_recording_min_recordings": _SHARE,
        "val_max_per_recording": _SHARE,
    },
    "infer": {"openvino_block_size": "an export takes any number of windows", "seed": _GONE},
}
