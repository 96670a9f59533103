"""From a list of sources to recordings on disk, with what is known about them.

In: ``data/sources.csv`` and the class list. Out: ``data/recordings/<class>/`` with ``recordings.csv``, and
the test recordings beside their annotations. Nothing here knows spectrograms or databases.

- ``collecting.py``: `collect`, which drives the sources and publishes what they gave
- ``sources_file.py``: the list of sources, checked as a whole
- ``sources/``: one file per source; adding the file is the whole job (see ``offers.py`` for what it must
  give)
- ``offers.py``: what a source is asked and what it offers
- ``names.py``: names that recordings and their folders may bear
- ``licences.py``: spellings of licences, and choosing by them
- ``recordings_table.py``: ``recordings.csv``
- ``attribution.py``: the credits a publication needs
- ``web.py``, ``pacing.py``, ``scrubbing.py``, ``connection_failures.py``: the session that asks sites:
  limits, pauses, redirects, keys, and what broke
- ``resumable_download.py``: one file, continued where it was interrupted, checked before it gets its name
- ``recording_folder.py``, ``csv_log.py``: many files into one directory, each with its record
- ``xeno_canto.py``, ``inaturalist.py``, ``youtube.py``, ``audioset.py``, ``audioset_tables.py``: the sites
- ``download_cache.py``: what `collect` keeps of the network outside the pipeline's outs
- ``atomic_folder.py``: whole directories under their names, or nothing
- ``sample.py``: plans of synthesised recordings, and the tree the command `sample` writes
- ``synth/``: the imaginary species, their calls, and what lies between them and the microphone
"""
