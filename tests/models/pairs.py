"""Pairs of backbone and head: each backbone and each head once in `make test`, all of them in `make soak`."""

import pytest

from britekit.config.model_names import backbone_families, head_names

_ONE = "vovnet"
PAIRS = [
    pytest.param(family, head, marks=() if head is None or family == _ONE else pytest.mark.soak)
    for family in backbone_families()
    for head in (None, *sorted(head_names()))
]
