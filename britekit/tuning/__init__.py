"""Choosing: which checkpoints work best together, and which settings give the best test.

In: checkpoints or settings, and annotated recordings. Out: the best of them with their scores, on
recordings that did not take part in the choice where that is possible.

Ensembles:

- ``member_scores.py``: each checkpoint on the test, once; the recordings in two halves
- ``mean_scores.py``: the score of an average of members, exactly, or within bounds in a fifth of the time
- ``selection.py``: all combinations, random ones, or greedily with replacement
- ``ensembles.py``: from checkpoints and annotations to the best ensemble
- ``winners.py``: the chosen checkpoints copied to where `package` takes them

Settings:

- ``space.py``: the tuning file: which settings, which values
- ``search.py``: the study that several processes may work on, kept on disk
- ``trial.py``: one combination of settings: extracted, trained, tested
- ``stored_scores.py``: trials of inference settings from scores that are kept
- ``extracted.py``: spectrograms made with a trial's audio settings, beside the user's database
- ``results.py``: tables, pictures and the file of the best settings
- ``apply.py``: settings put into ``params.yaml``
- ``tuner.py``: `Tuner`, the whole search for people at a prompt
"""
