"""Recordings without labels in; what sounds alike, and classifiers on embeddings, out.

- ``store``: an archive on disk: vectors of all windows, memory-mapped, and a list of the recordings; ``opening``: its
  model and its recordings.
- ``growing``: new and changed recordings are embedded; ``appending`` writes them.
- ``examples``: what is looked for, as vectors: a recording, stretches of it, a class of the training database.
- ``search``: the windows most like examples, compared with every one; ``index`` beyond a million windows.
- ``results``: what was found as a table, a queue for ``review`` and a contact sheet.
- ``labeled``: windows of annotated recordings with their classes; ``classifiers``: logistic regression and
  prototypes; ``probe``: the better of them by cross-validation; ``members``: a probe as a member of an ensemble.
- ``pseudo_labeling``: windows with the scores of a teacher (``teacher_scores``), which a student learns from.

Legend: N windows, F numbers of a vector, C classes, K examples.
"""
