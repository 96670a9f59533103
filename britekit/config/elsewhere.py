"""Settings of public britekit that have no field here, with explanations for users who migrate."""

from __future__ import annotations

_FAST = "spectrograms are computed fast enough without a cache"
# Its init still writes them to base_config.yaml.
_GONE = "version 1.8.4 reads it no longer either"

NOT_HERE = {
    "audio": {
        "energy_max_freq": _GONE,
        "energy_min_freq": _GONE,
        "energy_threshold": _GONE,
        "median_threshold1": _GONE,
        "median_threshold2": _GONE,
        "sum_threshold1": _GONE,
        "sum_threshold2": _GONE,
    },
    "infer": {"seed": _GONE},
}

WITHOUT_EFFECT = {
    "audio": {"use_spec_cache": _FAST, "chunks_per_spec": _FAST},
    "infer": {"openvino_block_size": "an export takes any number of windows"},
}
"""Accepted in YAML files with a warning, since results do not depend on them."""
