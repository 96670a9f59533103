"""Recordings and models in; scores, labels and exported models out.

With exported models nothing here imports torch.

The way through, one file each:

- ``members``: which checkpoints form the ensemble, and which settings they bring.
- ``backend``: whether PyTorch or the exports run them.
- ``export``: a checkpoint becomes an ONNX file that carries its classes and settings (imports torch).
- ``exported``: such a file read back and run by OpenVINO, which ``runtime`` loads.
- ``torch_model``: checkpoints run by PyTorch.
- ``ensemble``: members loaded, matched by class name, and averaged.
- ``engine``: recordings -> windows of all of them mixed -> scores per recording, in bounded memory.
- ``frames``: frame scores of overlapping windows laid on one grid per recording.
- ``platt``: scores become probabilities. ``labels``: scores become labels.
- ``analysis``: a batch of recordings from end to end; ``output`` writes what it leaves.

Shapes are named B (windows), C (classes), T (frames of a window), F (frames of a recording), H, W.
"""
