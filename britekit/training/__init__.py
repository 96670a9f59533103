"""Training: settings and a training set in, checkpoints and curves out.

- ``trainer.py``: `train`, the one call behind the command
- ``preparation.py``: everything that can be refused before the first step
- ``folds.py``: one fold after the other; ``results.py``: what a run gives back
- ``loop.py``: epochs and steps, which only wires
- ``run_on_device.py``: runs it on its device; ``graphs.py``: the network replayed on a GPU;
  ``flat_weights.py``: its weights in few long parameters
- ``devices.py``: where it runs; ``malloc.py``: freed memory is kept; ``batch_size_hint.py``: what to do without
- ``ranks.py``: the processes of a run; ``rank_process.py``: one that the first one starts;
  ``sync_norm.py``: batch norm over all of them
- ``losses.py``, ``optimizers.py``, ``schedule.py``: what a step computes
- ``held_out.py``: figures on data that are not trained on; ``early_stopping.py``: the best epoch, early stopping
- ``log_folder.py``: ``logs/version_N``; ``resume.py``: the state of a half-finished run
- ``meter.py``: the progress line
- ``find_lr.py``: a learning rate to begin with

Legend: N samples, B batch, C classes, T frames.
"""
