"""Augmentations: one file per entry of ``train.augmentations``, each over a whole batch.

In: images (B, H, W), float32, row 0 the lowest frequency, and ``Draws``, the random numbers. Out: images of
the same shape; an augmentation may work in place. ``registry.py`` finds the files by name, checks settings
and applies a list of them with their probabilities; ``mixing.py``, beside this folder, mixes samples.

A new augmentation is one file with one function of the file's name; its parameters and their defaults are the
function's keyword-only arguments, and the literal ``SETTINGS`` says their meaning and range, the chance by
default and the place in the list. The settings, their reference page and ``params.yaml`` read it from there
(`britekit.config.augmentation_files`); files without ``SETTINGS`` are helpers.

Legend: B batch, H rows (frequency), W columns (time).
"""
