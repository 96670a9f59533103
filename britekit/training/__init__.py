"""Training: settings and a training set in, checkpoints and curves out.

- ``trainer.py``: `train`, the one call behind the command
- ``preparation.py``: everything that can be refused before the first step
- ``module.py``: the Lightning module, which only wires; ``devices.py``: where it runs
- ``losses.py``, ``optimizers.py``, ``schedule.py``: what a step computes
- ``held_out.py``: figures on data that are not trained on
- ``log_folder.py``: ``logs/version_N``; ``resume.py``: the state of a half-finished run
- ``meter.py``: the progress line
- ``find_lr.py``: a learning rate to begin with

Legend: N samples, B batch, C classes, T frames.
"""
