"""Accents may be composed one way in annotations and another in the names of files and classes."""

import unicodedata

import numpy as np
import pytest
import soundfile

from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.config import BaseConfig
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.evaluation.scored_units import read_block_set, read_recording_set

NAME, CLASS = "Küken é", "Blåmes"


def _form(text, form):
    return unicodedata.normalize(form, text)


@pytest.mark.parametrize(("ours", "theirs"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("labels", ["scores.npz", "scores.csv", "text"])
@pytest.mark.parametrize("unit", ["segment", "block", "recording"])
def test_names_are_found_however_accents_are_composed(tmp_path, ours, theirs, labels, unit):
    recording, name = _form(NAME, theirs), _form(CLASS, theirs)
    soundfile.write(tmp_path / f"{recording}.wav", np.zeros(60 * 8000, np.float32), 8000)
    folder = tmp_path / "labels"
    folder.mkdir()
    if labels == "scores.npz":
        ScoreTable(
            recordings=[recording],
            row_recording=np.zeros(20, np.int64),
            starts=np.arange(20) * 3.0,
            seconds=np.array([60.0]),
            scores=np.full((20, 1), 0.75, np.float32),
            classes=[ClassInfo(name, "BLA")],
            duration=3.0,
            meta={},
        ).save(folder / labels)
    elif labels == "scores.csv":
        rows = [f"{recording},{name},{k * 3},{k * 3 + 3},0.75\n" for k in range(20)]
        (folder / labels).write_text("recording,name,start_time,end_time,score\n" + "".join(rows))
    else:
        rows = [f"{k * 3}.00\t{k * 3 + 3}.00\t{name};0.750\n" for k in range(20)]
        (folder / f"{recording}_scores.txt").write_text("".join(rows))
    recording, name = _form(NAME, ours), _form(CLASS, ours)
    table = tmp_path / "annotations.csv"
    if unit == "segment":
        table.write_text(f"recording,class,start_time,end_time\n{recording},{name},0,3\n")
        found = read_scored_segments(table, folder, None, BaseConfig(), strict=True)
    elif unit == "block":
        table.write_text(f"recording,block,classes\n{recording},1,{name}\n")
        found = read_block_set(table, folder, None, BaseConfig(), strict=True)
    else:
        table.write_text(f"recording,classes\n{recording},{name}\n")
        found = read_recording_set(table, folder, None, BaseConfig(), strict=True)
    assert found.truth_NC.sum() == 1 and (found.scores_NC == np.float32(0.75)).all()
    assert not found.without_scores
