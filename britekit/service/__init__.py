"""A recording in over HTTP, its detections out: the ensemble as a service, with a page for people.

In: a model folder (exports, settings, calibration, ignore list) and uploaded recordings. Out: detections as
JSON, Audacity labels, Raven table or CSV, raw scores, a spectrogram picture, facts about the model. Nothing
here imports torch: the service runs on exported models alone.

- ``limits.py``: how large, how long and how many uploads may be, from the environment
- ``uploads.py``: a multipart body streamed to disk, refused as soon as it is too large
- ``contents.py``: the model folder: what a Bento carries, written and read back
- ``analysis.py``: one recording through the engine, calibration and labels; recent scores are kept
- ``answers.py``: detections and scores in the formats people read
- ``picture.py``: a spectrogram of a whole recording as a PNG
- ``forms.py``: the forms that the endpoints take, and the gate that asks clients to come back
- ``openapi.py``: what OpenAPI says beyond what BentoML knows
- ``connections.py``: connections on which nothing is asked are closed
- ``deadlines.py``: requests that take too long, or are under way when the server stops, get an answer
- ``app.py``: the BentoML service: endpoints, and what is answered when something is wrong
- ``page.html``: what a browser shows; one file, no request to anyone else
- ``bento.py``: builds the Bento in a temporary place and exports it to one file
- ``server.py``: runs the service and sees that it stops
- ``orphans.py``: sees that it stops, and that nothing stays behind, when `serve` itself is killed
- ``requirements.txt``: the pinned packages of the serving image
"""
