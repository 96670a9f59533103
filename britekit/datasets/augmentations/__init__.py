"""Augmentations: one file per entry of ``train.augmentations``, each over a whole batch.

In: images (B, H, W), float32, row 0 the lowest frequency, and ``Draws``, the random numbers. Out: images of
the same shape; an augmentation may work in place. ``registry.py`` finds the files by name, checks settings
and applies a list of them with their probabilities; ``mixing.py``, beside this folder, mixes samples.

A new augmentation is one file with one function of the file's name; its parameters and their defaults are the
function's keyword-only arguments.

Legend: B batch, H rows (frequency), W columns (time).
"""
