"""The lists of background clips that `init` installs, and the rule by which a script chose them."""

import importlib.util
from pathlib import Path

import pytest

import britekit
from britekit.collect.audioset_tables import read_curated
from britekit.project.layout import project_files

FOLDER = Path(britekit.__file__).parent / "project/data/audioset/curated"
SUBJECTS = [
    "aircraft", "car", "chainsaw", "cow", "cricket", "dog", "rain", "rooster", "sheep", "siren", "speech",
    "truck", "wind",
]  # fmt: skip
_spec = importlib.util.spec_from_file_location(
    "audioset_lists", Path(__file__).parents[2] / "scripts/audioset_lists.py"
)
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)


def test_thirteen_lists_are_installed_in_their_form_without_duplicates():
    assert sorted(path.stem for path in FOLDER.glob("*.csv")) == SUBJECTS == sorted(script.SUBJECTS)
    owner = {}
    for subject in SUBJECTS:
        text = project_files()[f"data/audioset/curated/{subject}.csv"]
        assert text.startswith("YTID,start_seconds\n")
        clips = read_curated(FOLDER / f"{subject}.csv")
        assert 30 <= len(clips) <= script.LIMIT and len(clips) == text.count("\n") - 1
        for clip in clips:
            assert owner.setdefault(clip.video, subject) == subject, f"{clip.video} is listed twice"
        assert len({clip.video for clip in clips}) == len(clips)
    assert "CC BY 4.0" in project_files()["data/audioset/curated/README.md"]


@pytest.fixture
def tables(tmp_path):
    """Tables as AudioSet publishes them, with all the classes that the rule names."""
    names = {name for own, companions in script.SUBJECTS.values() for name in (*own, *companions)}
    ids = {name: f"/m/{number}" for number, name in enumerate(sorted(names | {*script.PLACES, "Music", "Bird"}))}
    rows = "".join(f'{number},{mid},"{name}"\n' for number, (name, mid) in enumerate(ids.items()))
    (tmp_path / script.CLASSES).write_text("index,mid,display_name\n" + rows)

    def write(table, **clips):
        lines = [
            f'{video}, {start}.000, {start + 10}.000, "{",".join(ids[label] for label in labels)}"\n'
            for video, (start, *labels) in clips.items()
        ]
        (tmp_path / table).write_text(
            "# Segments csv\n# YTID, start_seconds, end_seconds, positive_labels\n" + "".join(lines)
        )

    write(
        script.TABLES[0],
        aaaaaaaaaa1=(30, "Rain"),
        aaaaaaaaaa2=(0, "Rain on surface", "Water", "Outside, rural or natural"),
        aaaaaaaaaa3=(0, "Rain", "Speech"),
        aaaaaaaaaa4=(0, "Rain", "Music"),
        aaaaaaaaaa5=(0, "Water"),  # no label of the subject
        aaaaaaaaaa6=(0, "Cricket", "Insect", "Bird"),
        aaaaaaaaaa7=(0, "Vehicle", "Engine"),
    )
    write(
        script.TABLES[1],
        Zaaaaaaaaa1=(40, "Raindrop", "Rain"),
        Zaaaaaaaaa2=(0, "Truck", "Vehicle", "Idling"),
        Zaaaaaaaaa3=(0, "Truck", "Car"),
    )
    return tmp_path


def test_a_clip_holds_the_subject_and_no_other_sound(tables):
    chosen = script.choose(tables)
    assert chosen.pop("rain") == [("Zaaaaaaaaa1", 40.0), ("aaaaaaaaaa1", 30.0), ("aaaaaaaaaa2", 0.0)]
    assert chosen.pop("truck") == [("Zaaaaaaaaa2", 0.0)]
    assert not any(chosen.values())


def test_clips_with_the_fewest_labels_are_kept(tables):
    assert script.choose(tables, limit=1)["rain"] == [("aaaaaaaaaa1", 30.0)]
    assert script.choose(tables, limit=2)["rain"] == [("Zaaaaaaaaa1", 40.0), ("aaaaaaaaaa1", 30.0)]
