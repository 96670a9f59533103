"""Arrays in, numbers out; numpy alone.

In: a truth matrix and a score matrix, a row per unit (segment, block, recording) and a column per class, or
the two as flat lists. Out: numbers and small arrays; NaN where a quantity is not defined.

- ``counts.py``: true and false positives at every distinct score, from which the curves and areas follow
- ``ranking.py``: average precision, ROC-AUC, their macro and micro means
- ``curves.py``: PR and ROC curves, tables per threshold, thinning for files and plots
- ``thresholds.py``: precision and recall at one threshold, accuracy by highest score
- ``calibration.py``: calibration error, Brier score, reliability bins
- ``precision_bounds.py``: precision of a class at every threshold, with a lower bound
- ``bootstrap.py``: intervals of any of these by resampling recordings
- ``durations.py``: lengths of intervals that may overlap; ``overlap.py``: intersection over union of them
- ``confusion.py``: what was detected instead of missed classes
"""
