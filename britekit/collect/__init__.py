"""Collect recordings from a list of sources, with their metadata.

In: ``data/sources.csv`` and the class list. Out: ``data/recordings/<class>/`` with ``recordings.csv``, and
the test recordings beside their annotations. Nothing here knows spectrograms or databases.

- ``planning.py``: `plan_collection`, which queries the sources and checks what they offer
- ``collecting.py``: `collect`, which fetches the recordings of a plan and publishes them
- ``sources_file.py``: the list of sources, checked as a whole
- ``sources/``: one file per source; adding a file adds a source (see ``offers.py`` for its interface)
- ``offers.py``: queries to a source and its offers; ``context.py``: what a query may use
- ``names.py``: valid names of recordings and their folders
- ``licences.py``: spellings of licences, and choosing by them
- ``recordings_table.py``: ``recordings.csv``
- ``test_recordings.py``, ``admission.py``: recordings that are tested, and which others may be learned from
- ``attribution.py``: the credits a publication needs
- ``web.py``, ``pacing.py``, ``scrubbing.py``, ``connection_failures.py``: the HTTP session: limits, pauses, redirects,
  keys, and errors
- ``resumable_download.py``: downloads a file, resuming after interruptions, and checks it before renaming
- ``recording_folder.py``, ``csv_log.py``: downloads many files to one directory, with a record of each
- ``xeno_canto.py``, ``inaturalist.py``, ``youtube.py``, ``audioset.py``, ``audioset_tables.py``: the sites
- ``download_cache.py``: downloads of `collect`, cached outside the pipeline's outs
- ``atomic_folder.py``: publishes whole directories or nothing
- ``sample.py``: plans of synthesized recordings, and the tree of the command `sample`
- ``synth/``: imaginary species, their calls and the acoustics
"""
