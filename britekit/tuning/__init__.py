"""Choose the checkpoints that work best together, and the settings with the best test.

In: checkpoints or settings, and annotated recordings. Out: the best of them with their scores, if possible on
recordings outside the choice.

Ensembles:

- ``member_scores.py``: scores of each checkpoint on the test; recordings split in two halves
- ``mean_scores.py``: the score of an average of members, exactly, or within bounds in a fifth of the time
- ``selection.py``: all combinations, random ones, or greedily with replacement
- ``ensembles.py``: find the best ensemble of checkpoints
- ``winners.py``: copy the chosen checkpoints to the folder of `package`

Settings:

- ``space.py``: the tuning file: settings and their values
- ``search.py``: the study on disk, shared by several processes
- ``trial.py``: one combination of settings: extracted, trained, tested
- ``stored_scores.py``: trials of inference settings on cached scores
- ``cluster.py``: trials on the nodes of a Ray cluster
- ``extracted.py``: spectrograms made with a trial's audio settings, beside the user's database
- ``results.py``: tables, pictures and the file of the best settings
- ``apply.py``: write settings to ``params.yaml``
- ``tuner.py``: `Tuner`, the whole search for people at a prompt
"""
