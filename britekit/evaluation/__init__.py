"""What people annotated against what the models said: metrics, calibration, reports.

In: an annotation file and the output directory of ``analyze``. Out: truth and score matrices on one grid, the
figures computed from them, a calibration, and report files.

- ``grid.py``: rows of a recording, which of them an annotation marks, which of them a score belongs to
- ``scored_set.py``: reads annotations and scores into matrices, and says what had to be left out
- ``score_sources.py``: ``scores.npz`` or label files as one thing
- ``fit.py``: Platt scaling, global and per class, cross-fitted by recording
- ``calibrating.py``: a calibration with its errors before and after, its file and its pictures
- ``segment_report.py``: all figures of a test per segment
- ``segment_files.py``: those figures as text, tables and pictures
"""
