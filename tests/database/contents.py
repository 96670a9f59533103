"""All rows of a database by what they say, without IDs, to compare databases made in different ways."""

from sqlalchemy import text

from britekit.database.session import open_database

QUERIES = {
    "categories": 'SELECT "Name" FROM "Category"',
    "classes": 'SELECT k."Name", c."Name", c."Code", c."AltName", c."AltCode" FROM "Class" c '
    'LEFT JOIN "Category" k ON k."ID" = c."CategoryID"',
    "sources": 'SELECT "Name" FROM "Source"',
    "sound types": 'SELECT "Name", "Description" FROM "SoundType"',
    "groups": 'SELECT "Name" FROM "SpecGroup"',
    "recordings": 'SELECT s."Name", r."FileName", r."Path", r."Seconds" FROM "Recording" r '
    'LEFT JOIN "Source" s ON s."ID" = r."SourceID"',
    "segments": 'SELECT s."Name", r."FileName", g."Offset", g."SamplingRate" FROM "Segment" g '
    'LEFT JOIN "Recording" r ON r."ID" = g."RecordingID" LEFT JOIN "Source" s ON s."ID" = r."SourceID"',
    "links": 'SELECT s."Name", r."FileName", g."Offset", c."Name", t."Name" FROM "SegmentClass" l '
    'LEFT JOIN "Class" c ON c."ID" = l."ClassID" LEFT JOIN "SoundType" t ON t."ID" = l."SoundTypeID" '
    'LEFT JOIN "Segment" g ON g."ID" = l."SegmentID" LEFT JOIN "Recording" r ON r."ID" = g."RecordingID" '
    'LEFT JOIN "Source" s ON s."ID" = r."SourceID"',
    "spectrograms": 'SELECT s."Name", r."FileName", g."Offset", p."Name", v."Value", v."Embedding" '
    'FROM "SpecValue" v LEFT JOIN "SpecGroup" p ON p."ID" = v."SpecGroupID" '
    'LEFT JOIN "Segment" g ON g."ID" = v."SegmentID" LEFT JOIN "Recording" r ON r."ID" = g."RecordingID" '
    'LEFT JOIN "Source" s ON s."ID" = r."SourceID"',
    "facts": 'SELECT r."FileName", i."GroupName", i."Licence", i."Author", i."URL", i."Time", i."Latitude", '
    'i."Longitude" FROM "RecordingInfo" i LEFT JOIN "Recording" r ON r."ID" = i."RecordingID"',
}


def contents(target):
    """Return every table's rows, sorted."""
    with open_database(target) as session:
        return {
            name: sorted((tuple(row) for row in session.execute(text(query))), key=repr)
            for name, query in QUERIES.items()
            if name != "facts" or session.info["has_recording_info"]
        }


def problems(target):
    """Return what is wrong inside a database: damage, dangling rows, recordings that are not whole."""
    found = []
    with open_database(target) as session:
        if session.get_bind().dialect.name == "sqlite":
            result = session.execute(text("PRAGMA integrity_check")).scalars().all()
            found += [] if result == ["ok"] else result
            found += [tuple(row) for row in session.execute(text("PRAGMA foreign_key_check"))]
        for what, query in {
            "a segment without class": 'SELECT count(*) FROM "Segment" WHERE "ID" NOT IN '
            '(SELECT "SegmentID" FROM "SegmentClass")',
            "a segment without spectrogram": 'SELECT count(*) FROM "Segment" WHERE "ID" NOT IN '
            '(SELECT "SegmentID" FROM "SpecValue")',
            "a recording without segment": 'SELECT count(*) FROM "Recording" WHERE "ID" NOT IN '
            '(SELECT "RecordingID" FROM "Segment")',
        }.items():
            if session.execute(text(query)).scalar():
                found.append(what)
    return found
