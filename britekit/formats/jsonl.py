"""JSON lines: one object per label, for programs that read line by line (jsonlines.org)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from britekit.formats._base import Format, Recording, Rows, Writer, format_time


class JsonLinesWriter(Writer):
    """Writes an object per label; further columns of the rows follow the fixed ones."""

    def lines(self, recording: Recording, rows: Rows) -> Iterable[str]:
        """Return the lines of one class."""
        fixed = dict(zip(COLUMNS, (recording.name, rows.label, rows.class_name, rows.class_code)))
        head = json.dumps(fixed, ensure_ascii=False)[:-1]
        columns = zip(rows.starts, rows.ends, rows.scores, rows.confirmed, strict=True)
        for place, (start, end, score, confirmed) in enumerate(columns):
            more = "".join(
                f", {json.dumps(name)}: {json.dumps(values[place], ensure_ascii=False)}"
                for name, values in rows.more.items()
            )
            times = f'"start_time": {format_time(start)}, "end_time": {format_time(end)}'
            mark = "true" if confirmed else "false"
            yield f'{head}, {times}, "score": {score:.6f}, "confirmed": {mark}{more}}}\n'


COLUMNS = {
    "recording": "path below the input folder, without extension",
    "label": "name, code or an alternate of the class (`infer.label_field`)",
    "class_name": "name of the class",
    "class_code": "its code, or an empty text",
    "start_time": "seconds",
    "end_time": "seconds",
    "score": "six decimals",
    "confirmed": "true for a label below the threshold whose class is confirmed elsewhere",
}
FORMAT = Format(
    name="jsonl",
    title="JSON lines",
    media_type="application/x-ndjson",
    ending="_scores.jsonl",
    table="scores.jsonl",
    columns=COLUMNS,
    writer=JsonLinesWriter,
)
