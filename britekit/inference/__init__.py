"""Recordings and models in; scores, labels and exported models out.

With exported models nothing here imports torch.

The way through, one file each:

- ``model_files``: which checkpoints form the ensemble, and which settings they bring.
- ``backend``: choose PyTorch or the exports to run them.
- ``export``: converts a checkpoint to an ONNX file with its classes and settings (imports torch).
- ``exported``: reads such a file and runs it with OpenVINO; ``seal`` detects damage; ``public_exports``: files of
  public britekit, which hold no classes.
- ``torch_model``: runs checkpoints with PyTorch.
- ``embedding``: embeddings by our models or by files of other projects that take sound, which ``foreign``
  describes and ``runtimes`` runs; ``probe_file`` is a member made of such a file. ``embed_database`` stores
  embeddings, ``search`` finds the segments most like one of a recording.
- ``ensemble``: loads members, matches classes by name, and averages scores.
- ``engine``: recordings -> mixed windows of all of them -> scores per recording, in bounded memory; ``recording_job``
  is one recording in progress.
- ``scores``: the result; ``spilled_array`` keeps large results on disk, ``frames`` averages frame scores of overlapping
  windows on one grid.
- ``platt``: converts scores to probabilities; ``label_rules``: converts scores to labels; ``labeling`` does both by
  the settings.
- ``scoring``: the scores of many recordings, from the engine of this process; ``score_tables``: all of them as one
  table, and a cache of these. ``screen_file``: the thresholds of a screen; ``screening``: a student applies them.
- ``analysis``: a batch of recordings from end to end, also on a Ray cluster: ``cluster``, with a ``ray_worker`` on each
  node. ``output`` writes labels in the formats of ``britekit.formats``, with ``finished`` and ``old_output``;
  ``journal`` resumes an interrupted run, ``watching`` analyzes ``arrivals``, ``recording_names`` names recordings,
  ``manifest`` records models and settings, ``meter`` shows progress.

Shapes are named B (windows), C (classes), T (frames of a window), F (frames of a recording), H, W.
"""
