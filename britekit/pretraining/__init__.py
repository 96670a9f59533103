"""Pre-train a backbone on recordings without labels: their windows in, a checkpoint without classes out.

- ``windows.py``: spectrograms of windows of the recordings, kept on disk, with a journal by which a killed run
  continues
- ``views.py``: two random views of each window, whole batches at a time
- ``contrast.py``: the loss that finds the other view of a window among all others
- ``run.py``: `pretrain`, the call behind the command

Legend: N windows, B pairs in a batch, H rows, W columns, F features, D dimensions of the projection.
"""
