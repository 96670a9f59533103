"""Round trips through soundevent, OpenSoundscape, crowsetta and frictionless, where they are installed.

`BRITEKIT_EXCHANGE` names a Python with these packages; `docs/guide/exchange.md` says how it is made. They are not part
of the environment of britekit, as they bring some hundred packages.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from britekit.formats import get, read_any_annotations
from britekit.formats._base import Facts, Recording, grouped
from tests.exchange.conftest import LABELS, read, say
from tests.exchange.test_export import STANDARD, export

PYTHON = os.environ.get("BRITEKIT_EXCHANGE")
pytestmark = pytest.mark.skipif(not PYTHON, reason="BRITEKIT_EXCHANGE names no Python with soundevent and others")


def run(package: str, code: str, *arguments: object) -> str:
    """Run code there; skips where the package cannot be imported."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if subprocess.run([PYTHON, "-c", f"import {package}"], capture_output=True, env=environment).returncode:
        pytest.skip(f"{PYTHON} cannot import {package}")
    command = [PYTHON, "-W", "error::UserWarning", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


VALIDATE = '''
import json, sys
from pathlib import Path
import frictionless
from frictionless import system, validate

# Data Package 1.0, as far as a package of ours uses it; frictionless checks the rest by its own model.
BASE = {"type": "object", "required": ["resources"], "properties": {
    "contributors": {"type": "array", "minItems": 1, "items": {"required": ["title"], "properties": {"role": {
        "enum": ["publisher", "author", "maintainer", "wrangler", "contributor"]}}}},
    "keywords": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    "sources": {"type": "array", "items": {"type": "object", "required": ["title"]}},
    "created": {"type": "string", "format": "date-time"}, "title": {"type": "string"}}}
GEOJSON = Path(frictionless.__file__).parent / "assets/profiles/geojson.json"

class Raw:
    def __init__(self, data):
        self.data = data
    def read(self, size=-1, **_):
        found = self.data if size is None or size < 0 else self.data[:size]
        self.data = self.data[len(found):]
        return found

class Response:
    def __init__(self, data):
        self.content, self.raw, self.text, self.headers, self.status_code = data, Raw(data), data.decode(), {}, 200
    def raise_for_status(self): pass
    def json(self): return json.loads(self.content)
    def close(self): pass

class Session:
    """Gives the files of the standard in place of the network."""
    headers = {}
    def get(self, url, **_):
        name = url.rsplit("/", 1)[1]
        if name == "data-package.json":
            return Response(json.dumps(BASE).encode())
        return Response((GEOJSON if name.startswith("geojson") else Path(sys.argv[2], name)).read_bytes())

with system.use_context(http_session=Session(), trusted=True):
    report = validate(sys.argv[1])
print(json.dumps({"valid": report.valid, "stats": report.stats, "warnings": [*report.warnings, *(
    warning for task in report.tasks for warning in task.warnings)],
    "errors": report.flatten(["type", "note", "rowNumber", "fieldName"]), "tables": [t.name for t in report.tasks]}))
'''


def validated() -> dict:
    return json.loads(run("frictionless", VALIDATE, "out/datapackage.json", STANDARD))


def test_frictionless_accepts_the_package_without_a_warning(archive):
    say(archive, "yes", "pond/20260501_060000", "Owl", 1.5, 4.5)
    assert export("camtrap-dp", "--verdicts", "data/verdicts.csv") == 0
    report = validated()
    assert report["valid"] and report["warnings"] == [] and report["errors"] == []
    assert report["tables"] == ["deployments", "media", "observations"]
    # and it would not accept anything
    path = Path("out/observations.csv")
    path.write_text(path.read_text().replace(",animal,", ",animals,", 1))
    assert not validated()["valid"]


LOAD = """
import json, sys
from soundevent import io
run = io.load(sys.argv[1], audio_dir="rec")
print(json.dumps({"kind": type(run).__name__, "model": [run.model.info.name, run.model.version], "found": [
    [str(item.sound_event.recording.path), *item.sound_event.geometry.coordinates, item.score,
     [[tag.tag.term.name, tag.tag.value, tag.score] for tag in item.tags]]
    for clip in run.clip_predictions for item in clip.sound_events],
    "clips": [[str(c.clip.recording.path), c.clip.start_time, c.clip.end_time, c.clip.recording.latitude,
               str(c.clip.recording.date), str(c.clip.recording.time)] for c in run.clip_predictions]}))
io.save(run, "again.json", audio_dir="rec")
"""


def test_soundevent_reads_our_detections_and_writes_the_same(archive):
    assert export("aoef") == 0
    seen = json.loads(run("soundevent", LOAD, "out/detections.json"))
    assert seen["kind"] == "ModelRun" and seen["model"] == ["britekit 1.2.3 OWLS-1", "1.2.3"]
    species = {"OWL": "Strix aluco", "WREN": "Wren"}
    expected = {(f"rec/{name}.wav", start, end, score, species[label]) for name, label, start, end, score in LABELS}
    assert {(*item[:4], item[4][0][1]) for item in seen["found"]} == expected
    assert {item[4][0][0] for item in seen["found"]} == {"dwc:scientificName"}
    assert ["rec/ridge/20260503_120000.wav", 0.0, 10.5, 52.6, "2026-05-03", "12:00:00"] in seen["clips"]
    # what it writes again holds the same objects under the same identifiers
    ours, theirs = (json.loads(Path(name).read_text())["data"] for name in ("out/detections.json", "again.json"))
    for section in ("recordings", "clips", "sound_events", "sound_event_predictions", "clip_predictions"):
        assert {item["uuid"] for item in ours[section]} == {item["uuid"] for item in theirs[section]}, section


ANNOTATE = """
import sys
from soundevent import data, io, terms
user = data.User(username="ada")
def tag(key, value): return data.Tag(term=data.term_from_key(key), value=value)
recordings = [data.Recording.from_file(f"rec/pond/{n}.wav", compute_hash=False) for n in sys.argv[1:]]
shapes = [data.BoundingBox(coordinates=[1.5, 200, 4.5, 3000]), data.TimeInterval(coordinates=[30.0, 33.0]),
          data.Polygon(coordinates=[[[8.0, 100.0], [7.0, 200.0], [9.0, 300.0]]])]
names = ["Strix aluco", "Wren", "Strix aluco"]
events = [data.SoundEventAnnotation(
    sound_event=data.SoundEvent(recording=recordings[0], geometry=shape), created_by=user,
    tags=[tag("species", name), tag("quality", "good")]) for shape, name in zip(shapes, names)]
clips = [data.Clip(recording=r, start_time=0, end_time=r.duration) for r in recordings]
annotated = [data.ClipAnnotation(clip=clips[0], sound_events=events), data.ClipAnnotation(clip=clips[1])]
io.save(data.AnnotationSet(name="a", clip_annotations=annotated), "set.json", audio_dir="rec")
done = data.StatusBadge(state=data.AnnotationState.completed, owner=user)
tasks = [data.AnnotationTask(clip=clips[0], status_badges=[done]), data.AnnotationTask(clip=clips[1])]
io.save(data.AnnotationProject(name="p", clip_annotations=annotated, tasks=tasks), "project.json", audio_dir="rec")
evaluation = data.EvaluationSet(name="e", clip_annotations=annotated, evaluation_tags=[])
io.save(evaluation, "evaluation.json", audio_dir="rec")
"""


def test_we_read_what_soundevent_writes(archive):
    run("soundevent", ANNOTATE, "20260501_060000", "20260501_235950")
    first, second = "20260501_060000", "20260501_235950"
    expected = [(first, "Strix aluco", 1.5, 4.5), (first, "Wren", 30.0, 33.0), (first, "Strix aluco", 7.0, 9.0)]
    for name, silent in (("set", [(second, "", 0.0, 0.0)]), ("evaluation", [(second, "", 0.0, 0.0)]), ("project", [])):
        found = [(x.recording, x.label, x.start, x.end) for x in read_any_annotations(f"{name}.json")]
        assert found == expected + silent, name


FACTS = Facts(100.0, 3800.0)
ROWS = [("OWL", "Owl", "OWL", 1.5, 4.5, 0.91, False), ("WREN", "Wren", "WREN", 2.25, 5.0, 0.5, False)]


def ours(form: str, path: str) -> Path:
    """Write two labels of a recording as a format of ours."""
    Path(path).write_bytes(get(form).render(Recording("dawn", "dawn.wav", 60.0), list(grouped(ROWS)), FACTS))
    return Path(path)


OPENSOUNDSCAPE = """
import json, sys
from opensoundscape.annotations import BoxedAnnotations
boxes = BoxedAnnotations.from_raven_files([sys.argv[1]], annotation_column="Annotation", audio_files=["dawn.wav"])
columns = ["annotation", "start_time", "end_time", "low_f", "high_f"]
print(json.dumps(boxes.df[columns].values.tolist()))
boxes.to_raven_files(".")
"""


def test_opensoundscape_reads_our_raven_table_and_we_its(archive):
    seen = json.loads(run("opensoundscape.annotations", OPENSOUNDSCAPE, ours("raven", "mine.selections.txt")))
    assert seen == [["OWL", 1.5, 4.5, 100.0, 3800.0], ["WREN", 2.25, 5.0, 100.0, 3800.0]]
    (table,) = [path for path in Path().glob("*.txt") if path.name != "mine.selections.txt"]
    found = [(x.recording, x.label, x.start, x.end) for x in read_any_annotations(table, known=["dawn"])]
    assert found == [("dawn", "OWL", 1.5, 4.5), ("dawn", "WREN", 2.25, 5.0)]


CROWSETTA = """
import json, sys
import crowsetta
kind, source, target = sys.argv[1:]
options = {"annot_col": "Annotation"} if kind == "raven" else {}
form = crowsetta.Transcriber(format=kind).from_file(source, **options)
annotation = form.to_annot()
if kind == "raven":
    found = [[box.label, float(box.onset), float(box.offset), float(box.low_freq)] for box in annotation.bboxes]
else:
    found = [[s.label, float(s.onset_s), float(s.offset_s)] for s in annotation.seq.segments]
print(json.dumps(found))
form.to_file(target)
"""


def test_crowsetta_reads_our_tables_and_we_its(archive):
    seen = json.loads(run("crowsetta", CROWSETTA, "raven", ours("raven", "mine.txt"), "dawn.selections.txt"))
    assert seen == [["OWL", 1.5, 4.5, 100.0], ["WREN", 2.25, 5.0, 100.0]]
    seen = json.loads(run("crowsetta", CROWSETTA, "aud-seq", ours("audacity", "mine_a.txt"), "dawn.txt"))
    assert seen == [["OWL;0.910", 1.5, 4.5], ["WREN;0.500", 2.25, 5.0]]
    for name in ("dawn.selections.txt", "dawn.txt"):
        found = [(x.recording, x.label, x.start, x.end) for x in read_any_annotations(name)]
        assert found == [("dawn", "OWL", 1.5, 4.5), ("dawn", "WREN", 2.25, 5.0)], name


def test_tables_of_the_package_are_plain_csv(archive):
    """As pandas reads them, without our reader."""
    assert export("camtrap-dp") == 0
    code = "import pandas, sys; print(len(pandas.read_csv(sys.argv[1])), len(pandas.read_csv(sys.argv[1]).columns))"
    rows = read(Path("out/observations.csv"))
    assert run("pandas", code, "out/observations.csv").split() == [str(len(rows)), "28"]
