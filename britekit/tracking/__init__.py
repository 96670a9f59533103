"""Record runs for people who compare them.

In: settings, plain numbers, tables and pictures of one stage. Out: one W&B run per stage (offline without an account),
small JSON files of metrics that DVC compares, and the facts (version, revision, hashes) that identify what a number was
measured on.

- ``dvc.py``: run DVC as a program
- ``facts.py``: where the project is, which stage runs, revision and hashes
- ``metrics_file.py``: the JSON file of a stage's metrics
- ``lineage.py``: artifacts that refer to DVC's files, which form W&B's graph from recordings to Bento
- ``interrupted.py``: runs that have not ended well, and are continued
- ``run.py``: one W&B run, whose failure never loses a result
"""
