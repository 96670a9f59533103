"""The public classes, one file each, offered as `britekit.NAME`.

Plain values, paths and settings go in; results come out as objects with a readable `repr`, `to_dataframe()`
and `plot()` where there is something to see. Every name is typed, for editors and type checkers.

- ``audio.py``: `Audio`, one recording in memory
- ``extractor.py``, ``reextractor.py``, ``pickler.py``: recordings to a training database and a training file
- ``database.py``, ``tables.py``: `TrainingDatabase`, with its methods per table; ``provider.py``: rows by name
- ``trainer.py``: `Trainer`; `britekit.tuning.tuner` holds `Tuner`
- ``predictor.py``, ``scored.py``: scores and labels of one recording, ``array_labels.py``: labels of arrays;
  ``analyzer.py``: of many
- ``models.py``, ``network.py``: one network by itself
- ``testers.py``: tests per segment, block and recording
- ``records.py``: annotations, labels and class lists, and their readers
"""
