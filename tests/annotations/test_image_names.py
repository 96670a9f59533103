"""Image names of formats.md section 6, read back against recordings that exist."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from britekit.annotations.image_names import image_name_readings, parse_image_name


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        # plot-db, plot-test, plot-rec, plot-dir
        ("XC123456-3.00.jpeg", {"XC123456"}, ("XC123456", 3.0)),
        ("XC123456-12.5.jpg", {"XC123456"}, ("XC123456", 12.5)),
        ("XC123456-3.PNG", {"XC123456"}, ("XC123456", 3.0)),
        ("1-100032-A-0.00.jpeg", {"1-100032-A"}, ("1-100032-A", 0.0)),
        ("2024.05.01-7.00.jpeg", {"2024.05.01"}, ("2024.05.01", 7.0)),
        ("a--7.00.jpeg", {"a-"}, ("a-", 7.0)),
        # without a hyphen, at the last underscore
        ("SM4_20240501_063000_3.5.png", {"SM4_20240501_063000"}, ("SM4_20240501_063000", 3.5)),
        # a hyphen elsewhere does not hide the underscore
        ("site-4_20240501_3.5.png", {"site-4_20240501"}, ("site-4_20240501", 3.5)),
        # numeric recordings are not ranks
        ("12345678-3.00.jpeg", {"12345678"}, ("12345678", 3.0)),
        ("12345678-3.00.jpeg", {"3"}, None),
        # search
        ("7~XC1-3.00~0.123.jpeg", {"XC1"}, ("XC1", 3.0)),
        ("0~XC1-3.00~0.0.jpeg", {"XC1"}, ("XC1", 3.0)),
        ("7~a~b-3.00~0.123.jpeg", {"a~b"}, ("a~b", 3.0)),
        ("a~b-3.00.jpeg", {"a~b"}, ("a~b", 3.0)),
        ("a~b~c-3.00.jpeg", {"a~b~c"}, ("a~b~c", 3.0)),
        ("7~20240501_3.00~0.123.jpeg", {"20240501"}, ("20240501", 3.0)),
        # analyze-db: rank and score around it
        ("5-XC1-3.00-0.950.jpeg", {"XC1"}, ("XC1", 3.0)),
        ("5-12345678-3.00-0.950.jpeg", {"12345678"}, ("12345678", 3.0)),
        ("5-1-100032-A-3.00-0.950.jpeg", {"1-100032-A"}, ("1-100032-A", 3.0)),
        # dedup-seg: pair and file name
        ("2-XC1.mp3-4.00.jpeg", {"XC1"}, ("XC1", 4.0)),
        ("2-XC1.v2.mp3-4.00.jpeg", {"XC1.v2"}, ("XC1.v2", 4.0)),
        # plot-occlude
        ("XC1-3.00-seg77.jpeg", {"XC1"}, ("XC1", 3.0)),
        # of two readings that exist, the plain one
        ("1-123-4.00.jpeg", {"1-123", "123"}, ("1-123", 4.0)),
        ("1-123-4.00.jpeg", {"123"}, ("123", 4.0)),
        # names from anywhere
        ("дрозд певчий 'x\"-3.00.jpeg", {"дрозд певчий 'x\""}, ("дрозд певчий 'x\"", 3.0)),
        ("two\nlines-3.00.jpeg", {"two\nlines"}, ("two\nlines", 3.0)),
        ("mo\u0308we-3.00.jpeg", {"m\u00f6we"}, ("m\u00f6we", 3.0)),
        ("folder/XC1-3.00.jpeg", {"XC1"}, ("XC1", 3.0)),
        # no reading
        ("XC1-3.00.txt", {"XC1"}, None),
        ("XC1.jpeg", {"XC1"}, None),
        ("XC1-sheet.jpeg", {"XC1"}, None),
        ("-3.00.jpeg", {""}, None),
        ("XC1-nan.jpeg", {"XC1"}, None),
        ("XC1-1e3.jpeg", {"XC1"}, None),
        ("XC1-1_000.jpeg", {"XC1"}, None),
        ("XC1-٣.jpeg", {"XC1"}, None),
        ("XC1-" + "9" * 400 + ".jpeg", {"XC1"}, None),
        ("", {""}, None),
        # a recording that is not known
        ("XC1-3.00.jpeg", set(), None),
        ("20240501_063000.jpeg", {"20240501_063000"}, None),
    ],
)
def test_names_of_every_command(name, known, expected):
    assert parse_image_name(name, known) == expected
    assert parse_image_name(name, lambda stem: stem in known) == expected


def test_likeliest_reading_comes_first():
    assert image_name_readings("12345678-3.00.jpeg") == [("12345678", 3.0)]
    assert image_name_readings("1-123-4.00.jpeg") == [("1-123", 4.0), ("123", 4.0)]
    assert image_name_readings("7~XC1-3.00~0.123.jpeg")[0] == ("XC1", 3.0)
    assert image_name_readings("notes.txt") == []


STEMS = st.text(min_size=1, max_size=30).filter(lambda text: not set(text) & {"/", "\\", "\0"})


@given(
    stem=STEMS,
    offset=st.integers(0, 99_999_99).map(lambda number: number / 100),
    rank=st.integers(0, 9999),
    form=st.sampled_from(
        ["{stem}-{offset:.2f}", "{rank}~{stem}-{offset:.2f}~0.123", "{rank}-{stem}-{offset:.2f}-0.950"]
        + ["{rank}-{stem}.mp3-{offset:.2f}", "{stem}-{offset:.2f}-seg{rank}"]
    ),
)
def test_every_name_written_is_read_back(stem, offset, rank, form):
    name = form.format(stem=stem, offset=offset, rank=rank) + ".jpeg"
    assert parse_image_name(name, {stem}) == (stem, offset)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for reading_stem, offset in image_name_readings(text):
        assert reading_stem and 0 <= offset < 1e13
