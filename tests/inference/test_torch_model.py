"""Batches of models that PyTorch runs."""

import torch

from britekit.inference.engine import BLOCK
from britekit.inference.torch_model import batch_size


def test_batches_on_a_gpu_are_what_the_engine_hands_over():
    assert batch_size(torch.device("cuda"), 200) == BLOCK
    assert batch_size(torch.device("cuda"), 8) == batch_size(torch.device("cpu"), 8) == 8
