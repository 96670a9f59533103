"""The service keeps statistics of what it scores where its operator asks for them."""

from pathlib import Path

import pytest

from britekit.inference.drift_log import read_days
from tests.service.running import serving
from tests.service.tone_model import write_project, write_tones


def test_requests_are_counted_and_written_when_it_stops(tmp_path):
    write_project(tmp_path)
    write_tones(tmp_path / "x.wav")
    with serving(["-c", str(tmp_path / "settings.yaml")], tmp_path, BRITEKIT_DRIFT_FOLDER="drift") as server:
        answer = server.post("scores", tmp_path / "x.wav").json()
        server.post("detections", tmp_path / "x.wav")
    (day,) = read_days(tmp_path / "drift")
    assert day.recordings.sum() in (1, 2), "the second request may take the scores of the first"
    assert day.seconds.sum() == pytest.approx(answer["seconds"] * day.recordings.sum())
    assert day.windows.sum() >= day.recordings.sum()
    assert not any(path.suffix == ".wav" for path in Path(tmp_path / "drift").iterdir())
