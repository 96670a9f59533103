"""A synthetic training database of any size, with small values, for measurements and pictures."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from britekit.database.classes import add_class
from britekit.database.recordings import get_or_add_source
from britekit.database.schema import Recording, RecordingInfo, Segment, SegmentClass, SpecValue
from britekit.database.session import open_database
from britekit.database.spectrograms import get_or_add_group

SIZE = 32  # pixels, in both directions: 1 KB per spectrogram, some 250 bytes compressed
PER_RECORDING = 20
TARGET, TARGET_SEGMENTS = "Target", 10_000
_DISTINCT = 500
_AT_ONCE = 2_000  # recordings per round
_SOURCES = ("Xeno-Canto", "iNaturalist", "Macaulay Library", "archive")
_LICENCES = ("CC0", "CC BY 4.0", "CC BY-NC 4.0", None)


def make_database(path: Path, segments: int, classes: int = 200, embedded: int = 0) -> None:
    """Write a database of ``segments`` segments of 1 s, ten thousand of them (or a tenth) of `TARGET`.

    ``embedded`` of them have an embedding of 64 numbers.
    """
    rng = np.random.default_rng(0)
    values = [
        zlib.compress((rng.random((SIZE, SIZE)) ** 8 * 6).astype(np.uint8).tobytes(), 4) for _ in range(_DISTINCT)
    ]
    target = min(TARGET_SEGMENTS, segments // 10)
    with open_database(path, "create") as session:
        ids = [add_class(session, f"Species {number:03}", f"SP{number:03}") for number in range(classes)]
        target_id = add_class(session, TARGET, "TARG")
        sources = [get_or_add_source(session, name) for name in _SOURCES]
        group = get_or_add_group(session, "default", {"spec_duration": 1.0, "spec_height": SIZE, "spec_width": SIZE})
        # Some classes are common and some are rare, as everywhere.
        shares = rng.random(classes) ** 3 + 1e-3
        of_class = rng.choice(classes, size=-(-segments // PER_RECORDING), p=shares / shares.sum())
        of_class[:classes] = np.arange(min(classes, len(of_class)))
        segment = 0
        for first in range(0, len(of_class), _AT_ONCE):
            recordings, infos, rows, links, stored = [], [], [], [], []
            for number in range(first, min(first + _AT_ONCE, len(of_class))):
                name = int(of_class[number])
                source = sources[0] if name % 7 == 0 else sources[number % 4]
                recordings.append(
                    {"id": number + 1, "source_id": source, "filename": f"R{number:07}.wav",
                     "path": f"/archive/R{number:07}.wav", "seconds": float(PER_RECORDING)}
                )  # fmt: skip
                if number % 3:
                    infos.append({"recording_id": number + 1, "licence": _LICENCES[number % 4]})
                for offset in range(min(PER_RECORDING, segments - segment)):
                    segment += 1
                    rows.append({"id": segment, "recording_id": number + 1, "offset": float(offset)})
                    links.append(
                        {"segment_id": segment, "class_id": target_id if segment > segments - target else ids[name]}
                    )
                    embedding = None
                    if segment <= embedded:
                        vector = rng.standard_normal(64).astype("<f4") if segment % 50 else np.ones(64, "<f4")
                        embedding = zlib.compress(vector.tobytes())
                    stored.append(
                        {"specgroup_id": group, "segment_id": segment, "value": values[segment % _DISTINCT],
                         "embedding": embedding}
                    )  # fmt: skip
            for table, found in (
                (Recording, recordings), (RecordingInfo, infos), (Segment, rows), (SegmentClass, links),
                (SpecValue, stored),
            ):  # fmt: skip
                session.execute(insert(table), found)
            session.commit()
