"""Write the lists of background clips that `britekit init` installs in data/audioset/curated.

    python scripts/audioset_lists.py TABLES

TABLES holds three tables of https://research.google.com/audioset/download.html (Google, CC BY 4.0), whose clips people
have rated: ``balanced_train_segments.csv``, ``eval_segments.csv``, ``class_labels_indices.csv``. A clip is taken for a
subject if one of its labels is of the subject and no label is of another sound: the others must be of the same source
(a car beside "Vehicle"), of what is always heard with it, or of a place. Clips with the fewest labels come first, at
most `LIMIT` of them. Nobody has listened to them for this project.
"""

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from britekit.collect.audioset_tables import ClassList
from britekit.files import write_text

TABLES = ("balanced_train_segments.csv", "eval_segments.csv")
CLASSES = "class_labels_indices.csv"
TARGET = Path(__file__).parent.parent / "britekit/project/data/audioset/curated"
LIMIT = 200
PLACES = (
    "Outside, urban or manmade", "Outside, rural or natural", "Inside, small room", "Inside, large room or hall",
    "Inside, public space", "Field recording", "Environmental noise",
)  # fmt: skip
_FARM = "Livestock, farm animals, working animals"
_ENGINES = (
    "Engine", "Light engine (high frequency)", "Medium engine (mid frequency)", "Heavy engine (low frequency)",
    "Engine starting", "Idling", "Accelerating, revving, vroom",
)  # fmt: skip
_ROAD = ("Vehicle", "Motor vehicle (road)", "Traffic noise, roadway noise", *_ENGINES)
SUBJECTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "aircraft": (
        ("Aircraft", "Aircraft engine", "Jet engine", "Propeller, airscrew", "Helicopter",
         "Fixed-wing aircraft, airplane"),
        ("Vehicle", *_ENGINES),
    ),
    "car": (("Car", "Car passing by"), (*_ROAD, "Tire squeal", "Skidding")),
    "chainsaw": (("Chainsaw",), ("Tools", "Power tool", "Sawing", "Wood", *_ENGINES)),
    "cow": (("Cattle, bovinae", "Moo"), (_FARM, "Animal", "Cowbell")),
    "cricket": (("Cricket",), ("Insect", "Animal", "Wild animals")),
    "dog": (
        ("Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling", "Whimper (dog)"),
        ("Domestic animals, pets", "Animal", "Canidae, dogs, wolves", "Pant", "Whimper"),
    ),
    "rain": (("Rain", "Raindrop", "Rain on surface"), ("Water",)),
    "rooster": (("Crowing, cock-a-doodle-doo",), ("Chicken, rooster", "Fowl", "Cluck", _FARM, "Animal")),
    "sheep": (("Sheep",), ("Bleat", "Goat", _FARM, "Animal", "Domestic animals, pets")),
    "siren": (
        ("Siren", "Police car (siren)", "Ambulance (siren)", "Fire engine, fire truck (siren)", "Civil defense siren"),
        ("Emergency vehicle", *_ROAD),
    ),
    "speech": (
        ("Speech", "Male speech, man speaking", "Female speech, woman speaking", "Child speech, kid speaking",
         "Conversation", "Narration, monologue"),
        (),
    ),
    "truck": (("Truck",), (*_ROAD, "Air brake", "Reversing beeps", "Air horn, truck horn")),
    "wind": (
        ("Wind",),
        # AudioSet's rated clips of wind are of the sea, of fires and of motorboats; those of the sea remain.
        ("Wind noise (microphone)", "Rustling leaves", "Rustle", "Ocean", "Waves, surf", "Boat, Water vehicle",
         "Sailboat, sailing ship", "Rowboat, canoe, kayak"),
    ),
}  # fmt: skip
"""Labels of each subject, at least one of which a clip has, and labels that it may have besides."""


def read_rows(folder: Path) -> Iterator[tuple[str, float, set[str]]]:
    """Yield video, start in seconds and identifiers of classes of each clip."""
    for name in TABLES:
        with open(folder / name, encoding="utf-8", newline="") as file:
            for row in csv.reader((line for line in file if not line.startswith("#")), skipinitialspace=True):
                yield row[0], float(row[1]), set(row[3].split(","))


def choose(folder: Path, limit: int = LIMIT) -> dict[str, list[tuple[str, float]]]:
    """Return video and start of each subject's clips, in the order of videos."""
    classes = ClassList(folder / CLASSES)
    places = {classes.find(name) for name in PLACES}
    rows = list(read_rows(folder))
    chosen = {}
    for subject, (names, companions) in SUBJECTS.items():
        own = {classes.find(name) for name in names}
        allowed = own | places | {classes.find(name) for name in companions}
        fitting = [(len(labels), video, start) for video, start, labels in rows if labels & own and labels <= allowed]
        chosen[subject] = sorted((video, start) for _, video, start in sorted(fitting)[:limit])
    return chosen


def main(folder: Path) -> None:
    """Write the lists and print their lengths."""
    for subject, clips in choose(folder).items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([("YTID", "start_seconds"), *((video, f"{start:g}") for video, start in clips)])
        write_text(TARGET / f"{subject}.csv", text.getvalue())
        print(f"{subject} = {len(clips)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
