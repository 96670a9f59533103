"""Arrays in, figures out: pictures fit for a paper, with the same bytes for the same numbers.

- ``style.py``: size, fonts, colors, saving
- ``curves.py``: precision-recall and ROC curves, precision and recall per threshold
- ``reliability.py``: calibration before and after
- ``tuning.py``: a search of settings: history, importances, slices
- ``training.py``: loss and scores over epochs, loss over rising learning rates
- ``before_after.py``: spectrograms before and after a change
- ``scores.py``: scores of a recording over time; ``picture.py``: a picture that a notebook shows
- ``spectrogram.py``: spectrograms with axes or bare; ``axis_ticks.py``: round numbers on their axes;
  ``lettering.py``: text in any script
- ``contact_sheet.py``: many segments on one page
- ``recordings.py``: recordings as pictures, segment by segment, whole, or on contact sheets
"""
