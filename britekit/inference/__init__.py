"""Recordings and models in; scores, labels and exported models out.

With exported models nothing here imports torch.

The way through, one file each:

- ``model_files``: which checkpoints form the ensemble, and which settings they bring.
- ``backend``: whether PyTorch or the exports run them.
- ``export``: a checkpoint becomes an ONNX file that carries its classes and settings (imports torch).
- ``exported``: such a file read back and run by OpenVINO; ``seal`` notices damage.
- ``torch_model``: checkpoints run by PyTorch.
- ``embedding``: embeddings by our models or by files of other projects that take sound, which ``foreign``
  describes and ``runtimes`` runs; ``probe_file`` is a member made of such a file. ``embed_database`` stores
  embeddings, ``search`` finds the segments most like one of a recording.
- ``ensemble``: members loaded, matched by class name, and averaged.
- ``engine``: recordings -> windows of all of them mixed -> scores per recording, in bounded memory;
  ``recording_job`` is one recording on its way.
- ``scores``: what comes out; ``spilled_array`` keeps much of it on disk, ``frames`` lays frame scores
  of overlapping windows on one grid.
- ``platt``: scores become probabilities. ``label_rules``: scores become labels; ``labelling``
  does both by the settings.
- ``scoring``: the scores of many recordings as a value, from the engine of this process; a cache of them.
- ``analysis``: a batch of recordings from end to end, also on a Ray cluster: ``cluster``, with a
  ``ray_worker`` on each node. ``output`` writes labels in the formats of ``britekit.formats``, ``journal``
  lets an interrupted run go on, ``manifest`` says what labels were made with, ``meter`` how far the run is.

Shapes are named B (windows), C (classes), T (frames of a window), F (frames of a recording), H, W.
"""
