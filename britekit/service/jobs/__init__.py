"""Long recordings as jobs: a recording in now, its detections later, across restarts and kills.

In: uploads, or paths and ``s3://`` addresses that the operator allowed. Out: the state of a job, and its detections in
every format. Each job is done once: servers on one store hold locks, which the system releases when they die, and a
result is stored together with the state.

- ``settings.py``: the folder, limits and allowed sources, from the environment
- ``job.py``: a job and its states
- ``database.py``: the SQLite file: transactions, and what errors of the disk mean
- ``postgresql.py``: the same on a PostgreSQL server
- ``store.py``: jobs and their labels: who may do what with them, and when
- ``sources.py``: which sources are allowed, and the file of a source
- ``results.py``: what is stored of a scored recording, and what is made of it for an answer
- ``worker.py``: the threads that take jobs from the store, and what watches them
- ``routes.py``: the endpoints; ``description.py``: their part of the OpenAPI description
"""
