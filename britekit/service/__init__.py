"""A recording in over HTTP, its detections out: the ensemble as a service, with a page for people.

In: a model folder (exports, settings, calibration, ignore list) and uploaded recordings. Out: detections as
JSON, Audacity labels, Raven table or CSV, raw scores, a spectrogram picture, facts about the model. Nothing
here imports torch: the service runs on exported models alone.

- ``access.py``: bearer tokens, and how many requests each may make
- ``limits.py``: how large, how long and how many uploads may be, from the environment
- ``contents.py``: the model folder: what a Bento carries, written and read back
- ``uploads.py``: a multipart body streamed to disk, refused as soon as it is too large
- ``forms.py``: the fields that the endpoints take beside the recording
- ``analysis.py``: one recording through the engine, calibration and labels; recent scores are kept
- ``places.py``: when and where a recording was made, for a model with occurrence data
- ``answers.py``: detections and scores in the formats people read
- ``picture.py``: a spectrogram of a whole recording as a PNG
- ``metrics.py``: what ``/metrics`` counts
- ``front.py``: what holds for any request: Host, time limit, log, metrics, the end of the server
- ``openapi.py``: the description of the endpoints
- ``review.py``: the page on which detections are judged, apart from the service
- ``jobs/``: long recordings as jobs, which outlive the server
- ``recognizer.py``: the endpoints about one recording; ``app.py``: the Starlette application
- ``tracing.py``: OpenTelemetry traces; ``logs.py``: the log, also as JSON
- ``static/``: what a browser shows; no request to anyone else
- ``run.py``: runs the application in this process; ``mounted.py``: mounts it in BentoML
- ``server.py``: runs it in a process of its own for ``serve``, and sees that it ends
- ``bento.py``: builds the Bento in a temporary place and exports it to one file
- ``requirements.txt``: the pinned packages of the serving image
"""
