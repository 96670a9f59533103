"""Arrays in, figures out: pictures worth putting in a paper, and the same bytes for the same numbers.

- ``style.py``: size, fonts, colours, saving
- ``curves.py``: precision-recall and ROC curves, precision and recall per threshold
- ``reliability.py``: calibration before and after
- ``training.py``: loss and scores over epochs
- ``spectrogram.py``: one spectrogram with its axes
"""
