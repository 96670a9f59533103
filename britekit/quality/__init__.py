"""Measure recordings as recordings, and find the voices of people in them.

- ``measuring``: feeds the meters while a recording is decoded once: a row per minute and one per channel.
- ``faults``: clipping, dropouts, channels that are dead, equal or inverted.
- ``spectra``: level, noise by band, wind and rain. ``indices``: acoustic indices.
- ``report``: the tables of many recordings.
- ``voices``: stretches with human voices, by an optional network; ``muting`` silences them in copies.

Shapes are named C (channels), n (samples), F (bins of frequency), T (frames).
"""
