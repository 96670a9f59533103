"""`bk.util`: answers measured from public britekit 1.8.4 for the same calls."""

import numpy as np
import pytest

import britekit as bk

util = bk.util


@pytest.mark.parametrize(
    ("text", "seconds"), [("71", 71), ("1:11", 71), ("0:01:11", 71), ("01:01:01.5", 3661), ("1:75", 135), ("", 0)]
)
def test_times(text, seconds):
    assert util.get_seconds_from_time_string(text) == seconds


def test_small_answers():
    assert [util.format_elapsed_time(0, x) for x in (5.4, 65.2, 3725.9)] == ["00:05", "01:05", "01:02:05"]
    assert util.get_range(0, 1, 0.3) == [0.0, 0.3, 0.6, 0.9]
    assert util.get_range(5, 5, 0) == [5]
    sources = [util.get_source_name(x) for x in ("XC123.mp3", "N12.wav", "abc")]
    assert sources == ["Xeno-Canto", "iNaturalist", "default"]
    assert util.cfg_to_pure({"a": [1, (2, 3)], "b": None, "c": np.float32(2)}) == {"a": [1, [2, 3]], "b": None, "c": 2}
    assert util.cli_help_from_doc("First.\n\n    More.\n\n    Args:\n    - a (str): x\n") == "First.\n\nMore."
    assert util.cli_help_from_doc(None) is None
    for wrong, error in (((5, 2), "end_time"), ((1, 0, 0.3), "max_val"), ((0, 1, -1), "increment")):
        with pytest.raises(ValueError, match=error):
            (util.format_elapsed_time if len(wrong) == 2 else util.get_range)(*wrong)


def test_spectrograms_keep_their_values():
    image = np.random.default_rng(1).random((128, 480), np.float32)
    found = util.expand_spectrogram(util.compress_spectrogram(image))
    assert found.shape == (1, 128, 480) and found.dtype == np.float32
    assert np.abs(found[0] - image).max() <= 0.5 / 255 + 1e-6
    with pytest.raises(RuntimeError, match="Expected 61440 elements, got 16"):
        util.expand_spectrogram(util.compress_spectrogram(np.zeros((4, 4), np.float32)))
    with pytest.raises(RuntimeError, match="decompress"):
        util.expand_spectrogram(b"abc")
    with pytest.raises(TypeError, match="bytes"):
        util.expand_spectrogram("abc")


def test_files(tmp_path):
    for name in ("b.wav", "a.MP3", "c.txt", ".hidden.wav"):
        (tmp_path / name).write_bytes(b"")
    assert util.get_audio_files(str(tmp_path), short_names=True) == ["a.MP3", "b.wav"]
    assert util.get_audio_files("/nowhere") == util.get_audio_files("") == util.get_file_lines("/nowhere") == []
    assert util.is_audio_file(str(tmp_path / "b.wav")) and not util.is_audio_file("b.wav")
    (tmp_path / "c.txt").write_text("# x\n a \n\nb\n  # y\n")
    assert util.get_file_lines(str(tmp_path / "c.txt")) == ["a", "b"]


def test_labels(tmp_path, caplog):
    (tmp_path / "a_scores.txt").write_text("0.00\t5.00\tCA;0.900\n5.00\t10.00\tCB;0.500\nnothing\n")
    (tmp_path / "r.BirdNET.results.txt").write_text("0.0\t1.0\tGeo tri, Common Yellow\t0.95\n")
    rows = util.labels_to_dataframe(str(tmp_path)).to_dict("records")
    assert [tuple(row.values()) for row in rows] == [
        ("a", "CA", 0.0, 5.0, 0.9), ("a", "CB", 5.0, 10.0, 0.5), ("r", "Common Yellow", 0.0, 1.0, 0.95),
    ]  # fmt: skip
    assert "1 lines" in caplog.text
    assert [x.name for x in util.labels_to_list(str(tmp_path), {"a": {"CB"}})] == ["CB"]
    assert util.labels_to_list("/nowhere") == []
    (tmp_path / "scores.csv").write_text("recording,name,start_time,end_time,score\na,CA,0,5,0.5\nb,CB,5,10,0.25\n")
    assert util.inference_output_to_dataframe(str(tmp_path))["score"].tolist() == [0.5, 0.25]
    assert util.inference_output_to_dataframe(str(tmp_path), {"b": ["CB"]})["name"].tolist() == ["CB"]
    with pytest.raises(bk.InputError, match="does not exist"):
        util.inference_output_to_dataframe("/nowhere")


@pytest.mark.parametrize(
    ("line", "kind"),
    [("0.0\t5.0\tABC;0.9", (False, False)), ("0\t5\tABC", (False, True)), ("0\t1\tA b, C\t0.9", (True, False))],
)
def test_forms_of_labels(line, kind):
    assert util.select_label_regex(line)[1:] == kind
    assert util.select_label_regex("x") == (None, False, False)
