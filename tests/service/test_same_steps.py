"""With each step of inference on, the service and `tune --notrain` use the scores that `analyze` writes."""

import asyncio
import csv
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from britekit.cli import main
from britekit.evaluation.scored_segments import read_scored_segments
from britekit.inference.model_files import resolve_for_models
from britekit.service.app import Recognizer, build_app
from britekit.service.contents import write_contents
from britekit.service.limits import Limits
from tests.service.tone_model import tones, write_project

pytestmark = pytest.mark.xdist_group("service")

# The step, and what it needs.
STEPS = [
    ({"window_s": 4.0}, {"segment_len": 1.0}),
    ({"initial_offsets": [0.0, 1.0]}, {"segment_len": 1.0}),
    ({"shift_s": 0.25}, {}),
    ({"frame_taper": True}, {"segment_len": 1.0, "overlap": 1.0}),
    ({"quantile": 0.5}, {"segment_len": 1.0}),
    ({"smoothing_s": 4.0}, {}),
    ({"top_weight": 1.0}, {}),
]


def analyzed(settings: Path, folder: str) -> dict[tuple[str, str, float, float], float]:
    assert main(["analyze", "-c", str(settings), "-i", "rec", "-o", folder, "-m", "0"]) == 0
    with open(f"{folder}/scores.csv", newline="") as file:
        return {(r, n, float(a), float(b)): float(p) for r, n, a, b, p in list(csv.reader(file))[1:]}


async def served(settings: Path, paths: list[Path]) -> dict[tuple[str, str, float, float], float]:
    write_contents(*resolve_for_models(settings, None), Path("model"))
    recognizer = Recognizer(Path("model"), Limits())
    recognizer.load()
    found = {}
    try:
        transport = httpx.ASGITransport(app=build_app(recognizer, Limits()))
        async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=60) as client:
            for path in paths:
                form = {"files": {"audio": (path.name, path.read_bytes())}, "data": {"min_score": "0"}}
                for x in (await client.post("/detections", **form)).json()["detections"]:
                    found[path.stem, x["class_code"], x["start"], x["end"]] = x["score"]
    finally:
        recognizer.close()
    return found


@pytest.mark.parametrize("step, needed", STEPS, ids=[next(iter(step)) for step, _ in STEPS])
def test_each_step_holds_alike(tmp_path, monkeypatch, step, needed):
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "DVC_ROOT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    Path("rec").mkdir()
    rng = np.random.default_rng(0)
    paths, rows = [], ["recording,class,start_time,end_time"]
    for number in range(3):
        paths.append(Path(f"rec/r{number}.wav"))
        soundfile.write(paths[-1], tones(9.3, seed=number) * np.linspace(0.05, 1, round(9.3 * 16000)), 16000)
        for name, start in zip(rng.permutation(["LOWT", "HIGT"] * 3), range(6)):  # so that nothing is perfect
            rows.append(f"r{number},{name},{start + 0.2},{start + 0.9}")
    Path("rec/annotations.csv").write_text("\n".join(rows) + "\n")
    heads = {"frames": "segment_len" in needed, "any_width": "window_s" in step}
    plain = write_project(tmp_path, **heads, **needed).rename("plain.yaml")
    settings = write_project(tmp_path, **heads, **needed, **step)
    typed = analyzed(settings, "out")
    assert typed != analyzed(plain, "without")

    answered = asyncio.run(served(settings, paths))
    assert answered.keys() == typed.keys()
    assert [answered[cell] for cell in typed] == pytest.approx(list(typed.values()), abs=1e-6)

    ((name, value),) = step.items()
    Path("p.yaml").write_text(yaml.safe_dump([{"name": f"infer.{name}", "type": "categorical", "choices": [value]}]))
    command = ["tune", "--notrain", "-c", "plain.yaml", "-o", "tuned", "-a", "rec/annotations.csv", "-p", "p.yaml"]
    assert main([*command, "-m", "micro_pr"]) == 0
    with open("tuned/metrics-summary.csv", newline="") as file:
        (trial,) = csv.DictReader(file)
    data = read_scored_segments("rec/annotations.csv", "out", None, resolve_for_models(settings, None)[0])
    truth, scores = (x[:, data.annotated].ravel() for x in (data.truth_NC, data.scores_NC))
    assert float(trial["Micro PR-AUC"]) == pytest.approx(average_precision_score(truth, scores), abs=6e-5)
    assert float(trial["Micro ROC-AUC"]) == pytest.approx(roc_auc_score(truth, scores), abs=6e-5)
    assert average_precision_score(truth, scores) < 0.99
