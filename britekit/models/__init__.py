"""Networks: spectrograms in, logits out, and the checkpoints that hold them.

In: spectrograms (B, 1, H, W), float32 in [0, 1].  Out: segment logits (B, C) and, for heads that detect
sounds in time, frame logits (B, C, T).  Networks know no loss and no configuration object.

- ``backbones/``: one file per family; ``effnet.2`` is size 2 of ``backbones/effnet.py``
- ``heads/``: one file per head, same rule
- ``registry.py``: finds those files by name; adding a file is the whole job
- ``published_weights.py``: timm's weights, where there are any
- ``recognizer.py``: a backbone with its head, built from plain values (``Blueprint``)
- ``cost.py``: parameters and multiply-adds; ``timing.py``: spectrograms per second
- ``activations.py``: less memory traffic in training
- ``pointwise.py``: around a crash of convolutions on CPUs
- ``checkpoint.py``: writing and reading ``.ckpt`` files, weights and plain values only; ``averaging.py``
  makes one of several,
  ``freezing.py`` strips the state of training

Legend: B batch, F feature channels, H rows, W columns, T frames, C classes.
"""
