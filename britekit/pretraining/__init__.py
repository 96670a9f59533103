"""Pre-train a backbone on recordings without labels: their windows in, a checkpoint without classes out.

- ``windows.py``: spectrograms of windows of the recordings, kept on disk, with a journal by which a killed run
  continues
- ``masking.py``: batches with hidden patches, and the loss of filling them in
- ``run.py``: `pretrain`, the call behind the command

Legend: N windows, B batch, H rows, W columns.
"""
