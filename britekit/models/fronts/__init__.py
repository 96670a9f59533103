"""Learned first layers between spectrogram and backbone: one file per value of ``train.front``, each with a `build`.

In and out: (B, 1, H, W) float32. Exported with the network.
"""

import importlib

from torch import nn


def build_front(name: str, height: int) -> nn.Module:
    """Return the layer of a name for spectrograms with that many rows; `config.train` knows the names."""
    module = importlib.import_module(f"britekit.models.fronts.{name}")
    layer: nn.Module = module.build(height)
    return layer
