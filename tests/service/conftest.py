"""One server for the modules that attack it; starting it is what takes longest."""

import pytest

from tests.service.running import serving
from tests.service.tone_model import write_project, write_tones


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    settings = write_project(folder)
    limits = {"BRITEKIT_MAX_UPLOAD_MIB": "64"}
    with serving(["-c", str(settings)], folder, **limits) as running:
        write_tones(folder / "x.wav")
        yield running
