"""Annotations against the output of models: metrics, calibration, reports.

In: annotations and the output directory of ``analyze``. Out: truth and score matrices, the figures computed
from them with their intervals, a calibration, and report files.

Truth and scores:

- ``grid.py``: segments of a recording, which of them an annotation marks, which of them a score belongs to
- ``scored_set.py``: a test per segment as matrices; ``unit_set.py``: the same per block and per recording
- ``score_sources.py``: ``scores.npz`` or label files as one thing
- ``applied_scaling.py``: what inference had done to the scores in label files
- ``left_out.py``: what a test could not use, and how long recordings are

Figures:

- ``unit_report.py``: all figures of a test; ``intervals.py``: their intervals; ``seconds.py``: how long
  detections last
- ``decisions.py``: what a threshold is applied to
- ``class_views.py``: detection curves, and what was detected instead of missed classes
- ``examples.py``: the worst mistakes and their spectrograms; ``example_sounds.py``: their sound
- ``headline.py``: the few figures that people compare; ``compare.py``: two tests compared
- ``report_files.py``: which files a test leaves; ``summary.py``, ``report_tables.py``, ``curve_files.py``,
  ``matrix_file.py`` and ``html_page.py``: what stands in them; ``report_tracking.py``: what its run records
- ``untested.py``: what the stages leave where no test recording is annotated yet
- ``granularity.py``: the unit of a test, and reading a test of any unit

Other reports:

- ``sums_of_time.py``: seconds per class in annotations and in labels
- ``localisation.py``: how well labels lie where the sounds are
- ``epochs.py``: each checkpoint of a training run on the test
- ``contradictions.py``: which stored training segments the models contradict; ``contradiction_files.py``:
  its tables and pictures
- ``annotated_segments.py``: which segments hold which class

Calibration:

- ``fit.py``: Platt scaling, global and per class, cross-fitted by recording
- ``class_thresholds.py``: the threshold of each class for a wanted precision
- ``calibrating.py``: a calibration with its errors before and after, its file and its pictures
"""
