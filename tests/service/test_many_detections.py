"""Hours of many classes with a low threshold: a million detections must not take a gigabyte."""

import asyncio
import json
import tracemalloc

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.inference.model_files import resolve_for_models
from britekit.inference.scores import RecordingScores
from britekit.inference.spilled_array import SpilledArray
from britekit.service.app import Recognizer
from britekit.service.contents import write_contents
from britekit.service.forms import DetectionsForm
from britekit.service.limits import Limits
from tests.inference.fakes import make_fake_member
from tests.service.tone_model import AUDIO, write_project

CLASSES = [ClassInfo(f"Bird {number}", f"B{number}") for number in range(20)]


@pytest.fixture
def service(tmp_path):
    project = write_project(tmp_path, members=1)
    make_fake_member(tmp_path / "models/ckpt", CLASSES, AUDIO)
    write_contents(*resolve_for_models(project, None), tmp_path / "model")
    recognizer = Recognizer(tmp_path / "model", Limits())
    recognizer.load()
    yield recognizer
    recognizer.close()


async def _body(answer) -> tuple[int, bytes]:
    pieces = [piece async for piece in answer.body_iterator]
    return max(map(len, pieces)), b"".join(pieces)


@pytest.mark.parametrize("windows", [0, 1, 4000])
def test_they_are_made_into_text_piece_by_piece(service, windows):
    rows = SpilledArray(len(CLASSES))
    rows.append(np.random.default_rng(0).uniform(0.1, 1, (windows, len(CLASSES))).astype(np.float32))
    scores = RecordingScores(np.arange(windows) * 2.0, rows, None, 2.0 * windows, None)
    tracemalloc.start()
    answer = service.labeled("鸟", "key", scores, DetectionsForm(min_score=0.05, label_field="codes"))
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    longest, text = asyncio.run(_body(answer))
    assert longest < 100_000 and (windows < 4000 or taken < 300 * windows * len(CLASSES))
    content = json.loads(text)
    found = content["detections"]
    assert content["recording"] == "鸟" and len(found) == windows * len(CLASSES)
    assert [(x["start"], x["class_name"]) for x in found] == sorted((x["start"], x["class_name"]) for x in found)
    by_code = {(x["start"], x["label"]): x["score"] for x in found}
    assert all(by_code[start, "B7"] == row[7] for start, row in zip(scores.starts, scores.scores, strict=True))
