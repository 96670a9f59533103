"""A small archive: labels as analyze writes them, recordings with times by hand, verdicts."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from britekit.annotations.verdicts import Verdict, append_verdict

RECORDINGS = (
    ("pond/20260501_060000", 60.0),
    ("pond/20260501_235950", 20.0),
    # Berlin goes back from three to two o'clock in this night; the first half past two is meant
    ("pond/20261025_025950", 20.0),
    ("ridge/20260503_120000", 10.5),
)
LABELS = (
    ("pond/20260501_060000", "OWL", 1.5, 4.5, 0.91),
    ("pond/20260501_060000", "OWL", 30.0, 33.0, 0.72),
    ("pond/20260501_060000", "WREN", 1.5, 4.5, 0.6),
    ("pond/20260501_235950", "WREN", 9.0, 12.25, 0.8),
    ("pond/20261025_025950", "OWL", 8.0, 12.0, 0.7),
)
MANIFEST = {
    "britekit_version": "1.2.3",
    "calibrated": True,
    "audio": {"min_freq": 100, "max_freq": 3800},
    "inference": {"min_score": 0.5},
    "model 1": {"file": "a.ckpt", "identifier": "OWLS-1"},
}


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def write_labels(folder: Path, recordings=RECORDINGS, labels=LABELS) -> None:
    folder.mkdir(exist_ok=True)
    rows = "".join(f"{name},{label},{start},{end},{score}\n" for name, label, start, end, score in labels)
    (folder / "scores.csv").write_text("recording,name,start_time,end_time,score\n" + rows)
    (folder / "analyzed.csv").write_text("recording,seconds\n" + "".join(f"{n},{s}\n" for n, s in recordings))
    (folder / "manifest.yaml").write_text(yaml.safe_dump(MANIFEST))


def write_silence(path: Path, seconds: float, rate: int = 1000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(seconds * rate), np.int16), rate)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, seconds in RECORDINGS:
        write_silence(tmp_path / f"rec/{name}.wav", seconds)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/deployments.csv").write_text(
        "site,recorder,folder,latitude,longitude,time_zone,from,until,note\n"
        "pond,R1,pond,52.52,13.405,Europe/Berlin,2026-04-30T18:00,2026-11-01,by the reed\n"
        "ridge,R2,ridge,52.6,13.5,+05:30,,,\n"
    )
    (tmp_path / "data/classes.csv").write_text("Name,Code,AltName\nOwl,OWL,Strix aluco\nWren,WREN,\n")
    write_labels(tmp_path / "labels")
    return tmp_path


def say(place: Path, answer: str, recording: str, name: str, start: float, end: float, **more) -> None:
    """Append a verdict on a detection."""
    given = {
        "id": f"{answer}{start}{name}{recording}{more.get('reviewer')}",
        "reviewer": "Ada",
        "time": "2026-06-01T10:00:00+02:00",
    }
    given |= {"start": start, "end": end, "detection_start": start, "detection_end": end}
    append_verdict(place / "data/verdicts.csv", Verdict(recording=recording, name=name, verdict=answer, **given | more))


def load(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))
