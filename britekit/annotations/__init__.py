"""Annotations of people and labels of models, as plain text files.

In: class lists, ignore lists, annotation tables and label files. Out: small frozen dataclasses, and the same
files written back. Nothing here touches audio samples or models.

- ``names.py``: one rule for names: which recording a table or label file means
- ``tables.py``: one strict reader for every table people hand in (encodings, separators, line ends, named columns)
- ``classes.py``: a class with its name, code and alternates; class lists, ignore lists, finding a class
- ``segments.py``: annotations with a start and an end, as CSV
- ``text_files.py``: text files in the encodings and with the decimal marks that people save
- ``held.py``: which windows hold a sound, which sounds no window holds, and boxes over two recordings
- ``reconciling.py``: which class an annotation means
- ``listed.py``: annotations per block and per recording, as lists of classes
- ``labels.py``: reading inference output back: Audacity and BirdNET labels, ``scores.csv``
- ``image_names.py``: which segment a spectrogram image shows, told by its name
- ``label_table.py``: the same labels by columns, for tens of millions of them
- ``offsets.py``: seconds of recordings that a person lists
- ``deployments.py``: ``deployments.csv``, which recorder stood where and when
- ``label_bytes.py``: plain files of labels, parsed as arrays of bytes
- ``recording_info.py``: site, recorder, start and place of a recording, and from where each is known;
  ``written_rows.py``: the rows of ``recordings.csv``; ``deployment_choice.py``: which deployment made a recording;
  ``contradicting_facts.py``: where sources differ
- ``verdicts.py``: what people said about single stretches of sound
- ``scores.py``: ``scores.npz``, the unrounded mean scores behind the labels
"""
