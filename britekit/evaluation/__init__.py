"""Annotations against the output of models: metrics, calibration, reports.

In: annotations and the output directory of ``analyze``. Out: truth and score matrices, the figures computed
from them with their intervals, a calibration, and report files.

Truth and scores:

- ``grid.py``: the segments of a recording, which ones an annotation marks, and which one a score belongs to
- ``scored_test.py``: what tests of any unit share
- ``scored_segments.py``: a test per segment as matrices; ``scored_units.py``: the same per block and per recording
- ``analyzed_scores.py``: ``scores.npz`` or label files behind one interface; ``score_reading.py``: reads them
- ``applied_scaling.py``: the scaling that inference applied to scores in label files
- ``exclusions.py``: what a test could not use, and how long recordings are

Figures:

- ``unit_report.py``: all figures of a test; ``intervals.py``: their intervals; ``seconds.py``: how long detections last
- ``thresholded_values.py``: what a threshold is applied to
- ``class_curves.py``: detection curves, and what was detected instead of missed classes
- ``worst_mistakes.py``: the worst mistakes and their spectrograms; ``mistake_sounds.py``: their sound
- ``headline.py``: the few figures that people compare; ``compare.py``: two tests compared
- ``report_files.py``: the files of a report; ``summary.py``, ``report_tables.py``, ``curve_files.py``,
  ``matrix_file.py`` and ``html_page.py``: their content; ``report_tracking.py``: what the tracked run records
- ``untested.py``: the outputs of stages while no test recording is annotated yet
- ``granularity.py``: the unit of a test, and reading a test of any unit

Other reports:

- ``seconds_per_class.py``: seconds per class in annotations and in labels
- ``iou.py``: how well labels overlap annotated sounds
- ``epochs.py``: each checkpoint of a training run on the test
- ``contradictions.py``: which stored training segments the models contradict; ``contradiction_files.py``:
  its tables and pictures; ``occluding.py``: scores of spectrograms without some of their frames
- ``annotated_segments.py``: which segments hold which class

Calibration:

- ``platt_fit.py``: Platt scaling, global and per class, cross-fitted by recording
- ``class_thresholds.py``: the threshold of each class for a wanted precision
- ``calibrating.py``: a calibration with its errors before and after, its file and pictures
"""
