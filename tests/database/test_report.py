"""The report of a database: tables held against counts by loops, warnings that are due and no others."""

import csv
import html.parser
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert, select, update

from britekit.config import from_dict
from britekit.database.classes import add_class, get_or_add_category
from britekit.database.findings import find_problems
from britekit.database.recordings import Facts, add_recording, get_or_add_source
from britekit.database.report import write_report
from britekit.database.samples import NearPairs, near_duplicates, stored_sizes
from britekit.database.schema import Class, SegmentClass, SpecGroup, SpecValue
from britekit.database.segments import add_links, add_segments
from britekit.database.session import open_database
from britekit.database.spectrograms import get_or_add_group
from britekit.database.summary import ClassSummary, DatabaseSummary, RecordingFacts, summarize
from britekit.errors import DatabaseError

CFG = from_dict({"audio": {"spec_duration": 1.0, "spec_height": 32, "spec_width": 32}})
SETTINGS = {"spec_duration": 1.0, "spec_height": 32, "spec_width": 32}
ODD = '<b>&amp; it\'s "100 %" 🦉'


def fill(target):
    """Twelve recordings of Wren from two sources, two of an oddly named class, one shared."""
    with open_database(target, "create") as session:
        birds = get_or_add_category(session, "birds")
        wren = add_class(session, "Wren", "WREN", birds)
        odd = add_class(session, ODD, "ODD")
        add_class(session, "Empty")
        group = get_or_add_group(session, "default", SETTINGS)
        rng = np.random.default_rng(3)
        for number in range(14):
            facts = Facts(licence="CC0" if number % 2 else None, group_name="tape" if number >= 12 else None)
            source = get_or_add_source(session, "Wood" if number % 2 else "Field")
            key = add_recording(session, source, f"r{number:02}.wav", f"/r{number}", 3600.0, facts)
            segments = add_segments(session, key, [0.0, 1.0, 2.0][: 1 + number % 3])
            links = [(segment, wren if number < 12 else odd) for segment in segments]
            if number == 5:
                links.append((segments[0], odd))
            add_links(session, links)
            for segment in segments:
                vector = rng.standard_normal(16).astype("<f4")
                if number in (4, 13) and segment == segments[0]:
                    vector = np.arange(16, dtype="<f4") + 1e-3 * number  # the same sound under two names
                session.execute(
                    insert(SpecValue).values(
                        segment_id=segment, specgroup_id=group, value=zlib.compress(bytes(1024)),
                        embedding=zlib.compress(vector.tobytes()),
                    )
                )  # fmt: skip


def report(target, folder, cfg=CFG):
    with open_database(target) as session:
        summary, findings = write_report(session, cfg, folder)
    tables = {}
    for name in ("class_summary", "class_details", "spec_groups"):
        with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
            tables[name] = list(csv.reader(file))
    return summary, findings, tables


def test_tables(target, tmp_path):
    fill(target)
    _summary, _findings, tables = report(target, tmp_path / "deep" / "out")
    assert tables["class_summary"] == [
        ["name", "code", "recordings", "segments"],
        [ODD, "ODD", "3", "4"],
        ["Empty", "", "0", "0"],
        ["Wren", "WREN", "12", "24"],
    ]
    details = [["name", "code", "recording", "segments"], [ODD, "ODD", "r05.wav", "1"]]
    details += [[ODD, "ODD", "r12.wav", "1"], [ODD, "ODD", "r13.wav", "2"]]
    details += [["Wren", "WREN", f"r{n:02}.wav", str(1 + n % 3)] for n in range(12)]
    assert tables["class_details"] == details
    assert tables["spec_groups"] == [["name", "spectrograms"], ["default", "27"]]


def kinds(findings, about=None):
    return sorted(finding.kind for finding in findings if about is None or finding.about == about)


def test_warnings(target, tmp_path):
    fill(target)
    summary, findings, _tables = report(target, tmp_path)
    assert "near duplicates" in kinds(findings, "Wren") + kinds(findings, ODD)
    assert [kind for kind in kinds(findings, "Wren") if kind != "near duplicates"] == ["few recordings"]
    assert "few recordings" in kinds(findings, ODD)
    assert kinds(findings, "Empty") == ["no code", "no segments"]
    (near,) = [finding for finding in findings if finding.kind == "near duplicates"]
    assert near.sentence.startswith("1 pair of") and "r04.wav at 0 s" in near.sentence and "r13.wav" in near.sentence
    few = next(finding for finding in findings if finding.kind == "few recordings")
    assert "cut from 2 originals" in few.sentence  # r12 and r13 are of one tape
    assert len(summary.recordings) == 14 and summary.segments == 27


@pytest.mark.parametrize("recordings", [29, 30])
@pytest.mark.parametrize("licence", ["", "CC0"])
def test_a_class_begins_with_thirty_recordings_of_known_licence(tmp_path, recordings, licence):
    """The guide says to begin with 30: 19 clips of unknown licence passed without a warning."""
    facts = {n: RecordingFacts(f"r{n}.wav", "field", 5.0, licence) for n in range(recordings)}
    wren = ClassSummary(1, "Wren", "WREN", "default", dict.fromkeys(facts, 1))
    summary = DatabaseSummary("x.db", [wren], facts, recordings, 0, dict.fromkeys(facts, 1), [])
    expected = ["few recordings"] * (recordings < 30) + ["no known licence"] * (not licence)
    assert kinds(find_problems(summary, {}, NearPairs([], 0, 0), {})) == expected


def test_warnings_about_settings_and_sources(target, tmp_path):
    fill(target)
    with open_database(target, "write") as session:
        other = get_or_add_group(session, "fine", SETTINGS | {"spec_height": 64})
        unknown = get_or_add_group(session, "old")
        for key in session.scalars(select(SpecValue.segment_id).limit(5)).all():
            session.execute(insert(SpecValue).values(segment_id=key, specgroup_id=other, value=zlib.compress(b"x")))
            session.execute(insert(SpecValue).values(segment_id=key, specgroup_id=unknown, value=b"no zlib"))
        session.execute(
            update(SpecValue).where(SpecValue.specgroup_id == other, SpecValue.segment_id == key)
            .values(value=zlib.compress(b"xy"))
        )  # fmt: skip
        rare = add_class(session, "Jay", "JAY")
        for number in range(11):
            source = get_or_add_source(session, "Wood" if number else "Field")
            recording = add_recording(session, source, f"j{number}.wav", "", 1.0)
            add_links(session, [(key, rare) for key in add_segments(session, recording, [0.0])])
        add_segments(session, add_recording(session, source, "loose.wav", "", 1.0), [0.0])
        add_recording(session, source, "empty.wav", "", 1.0)
    _summary, findings, _tables = report(target, tmp_path)
    assert kinds(findings, "fine") == ["incomplete group", "mixed settings", "mixed settings", "other settings"]
    assert kinds(findings, "old") == ["incomplete group", "unknown settings"]
    assert kinds(findings, "default") == ["incomplete group"]
    assert kinds(findings, "Jay") == ["few recordings", "one dominant source"]
    assert kinds(findings, "") == ["no known licence", "recordings without segments", "segments without class"]


class Page(html.parser.HTMLParser):
    """Collects the text of a page, and whatever it would fetch."""

    def __init__(self):
        super().__init__()
        self.words, self.fetched, self.tags = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [
            value
            for name, value in attributes
            if name in ("src", "href", "srcset") and not value.startswith(("#", "data:"))
        ]

    def handle_data(self, text):
        self.words.append(text)


def test_page_needs_nothing_beside_it(target, tmp_path):
    fill(target)
    with open_database(target, "write") as session:
        session.execute(update(Class).where(Class.name == "Empty").values(name="</table><script>alert(1)</script>"))
        add_class(session, "z" * 10_000)
    summary, _findings, _tables = report(target, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.fetched == [] and "@import" not in text and "url(" not in text
    assert page.tags.count("script") == 1 and page.tags.count("table") == 4
    said = " ".join(page.words)
    assert ODD in said and "</table><script>alert(1)</script>" in said
    for expected in ("14", "recordings", "14.0", "hours recorded", "CC0", "not known", "Wood", "Field"):
        assert expected in said
    assert 0 < summary.segments < 100 and f"{summary.segments / 3600:.3f} hours of segments" in said
    assert re.search(r"spec_height\s+32", said)


def test_no_embeddings_and_no_rows(target, tmp_path):
    with open_database(target, "create"):
        pass
    summary, findings, tables = report(target, tmp_path)
    assert (summary.segments, findings) == (0, []) and tables["spec_groups"][1] == ["default", "0"]
    assert "there are no embeddings" in (tmp_path / "report.html").read_text()


def test_near_duplicates_against_a_loop(target):
    """Every pair of segments, compared by hand."""
    fill(target)
    with open_database(target) as session:
        summary = summarize(session)
        near = near_duplicates(session, summary.classes, summary.groups[0], 1.0)
        rows = session.execute(select(SpecValue.segment_id, SpecValue.embedding)).all()
        assert stored_sizes(session, summary.groups[0]) == {1024}
    vectors = {key: np.frombuffer(zlib.decompress(value), "<f4").astype(float) for key, value in rows}
    expected = 0
    for a in vectors:
        for b in vectors:
            cosine = vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
            expected += a < b and cosine >= 0.98
    assert (near.sampled, near.of) == (27, 28)
    assert expected == sum(pair.count for pair in near.pairs) == 1
    assert near.pairs[0].classes == (ODD, "Wren")


def test_damaged_settings_are_told(target, tmp_path):
    fill(target)
    with open_database(target, "write") as session:
        session.execute(update(SpecGroup).values(config=json.dumps([1])))
    with pytest.raises(DatabaseError, match="settings of spectrogram group 1 cannot be read"):
        report(target, tmp_path / "out")
    assert not Path(tmp_path / "out").exists()


def test_links_without_a_segment(target, tmp_path):
    fill(target)
    before = report(target, tmp_path / "before")[2]
    with open_database(target, "write") as session:
        wren = session.scalars(select(Class.id).where(Class.name == "Wren")).one()
        session.execute(insert(SegmentClass).values(segment_id=None, class_id=wren))
    assert report(target, tmp_path / "after")[2] == before
