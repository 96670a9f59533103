"""Train: settings and a training set in, checkpoints and curves out.

- ``trainer.py``: `train`, the one call behind the command
- ``preparation.py``: all checks before the first step; ``configured.py``: the parts of a run, as the settings say
- ``folds.py``: training fold by fold; ``results.py``: the result of a run
- ``loop.py``: epochs and steps
- ``run_on_device.py``: runs the loop on its device; ``graphs.py``: replays the network as CUDA graphs;
  ``flat_weights.py``: its weights in few long parameters
- ``devices.py``: the device; ``malloc.py``: keeps freed memory; ``batch_size_hint.py``: advice when memory runs out
- ``ranks.py``: the processes of a run; ``rank_process.py``: a further process; ``sync_norm.py``: batch norm over all
  processes
- ``teachers.py``: an ensemble scores a training file; ``extras.py``: reads that and frame labels for a run;
  ``taught_loss.py``: the loss with them
- ``losses.py``, ``optimizers.py``, ``schedule.py``: the computation of a step
- ``held_out.py``: metrics on held-out data; ``early_stopping.py``: the best epoch, early stopping
- ``log_folder.py``: ``logs/version_N``; ``resume.py``: the state of a half-finished run
- ``meter.py``: the progress line
- ``find_lr.py``: search of an initial learning rate

Legend: N samples, B batch, C classes, T frames.
"""
