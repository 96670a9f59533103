"""The application mounted in BentoML, for ``bentoml serve`` and ``bentoml containerize``."""

import os
import subprocess
import sys
from pathlib import Path

import bentoml
from bentoml.images import Image

from britekit.service import tracing
from britekit.service.access import read_access
from britekit.service.app import build_app
from britekit.service.bento import BASE_IMAGE
from britekit.service.front import REQUEST_SECONDS
from britekit.service.jobs.routes import Jobs
from britekit.service.jobs.settings import read_job_settings
from britekit.service.limits import read_limits
from britekit.service.recognizer import Recognizer
from britekit.service.run import MODEL_VARIABLE

limits = read_limits()
settings = read_job_settings(limits)
recognizer = Recognizer(Path(os.environ.get(MODEL_VARIABLE, "model")), limits, settings.at_once if settings else 0)
tracing.start()
# BentoML chooses the address, so that requests from other machines, not the start, are refused without a token.
access = read_access(local_only=True)
app = build_app(recognizer, limits, access=access, jobs=Jobs(settings, recognizer) if settings else None)


@bentoml.asgi_app(app, path="/", name="britekit")
@bentoml.service(
    name="britekit",
    # One process: it uses all cores, and kept scores and the count of requests are for all clients.
    workers=1,
    envs=[{"name": "BENTOML_DO_NOT_TRACK", "value": "true"}],
    traffic={"timeout": REQUEST_SECONDS},
    # `bentoml containerize` puts a compiler, 300 MB, into images of distributions that it knows.
    image=Image(base_image=BASE_IMAGE, distro="any"),
    # The application has its own: BentoML's label paths, and log what clients send as it is.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Service:
    """Finds the sounds a model knows in recordings."""

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Refuse to start with a model that cannot be loaded; BentoML would try again for ever."""
        if subprocess.run([sys.executable, "-m", "britekit.service.run", "--check"], check=False).returncode:
            os._exit(1)
