"""Reading YAML: numbers as people write them, lines, and files that are broken or hostile."""

import pytest
import ruamel.yaml

from britekit.config.yaml_reader import read_yaml
from britekit.errors import ConfigError


def read(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    node, problems = read_yaml(path)
    return node.plain(), problems


@pytest.mark.parametrize(
    "text",
    ["2", "-3", "+4", "0", ".002", "0.5", "1.", "1e-3", "1E5", "-1.5e+2", "08", "0x1F", "1_000"]
    + ["true", "False", "null", "~", "yes", "no", "on", "off", "y", "2024-01-01", "1:30", "abc"],
)
def test_plain_scalars_follow_yaml_1_2(tmp_path, text):
    """DVC reads params.yaml with ruamel.yaml; a value must mean the same to both."""
    value, _ = read(tmp_path, f"a: {text}\n")
    expected = ruamel.yaml.YAML(typ="safe", pure=True).load(f"a: {text}\n")["a"]
    if text in ("2024-01-01", "1_000"):  # dates and grouped digits are no settings: texts here
        assert value["a"] == text
    else:
        assert (value["a"], type(value["a"])) == (expected, type(expected))


def test_quoted_numbers_stay_texts(tmp_path):
    assert read(tmp_path, "a: '5'\nb: \"0.5\"\n")[0] == {"a": "5", "b": "0.5"}


def test_an_empty_file_is_an_empty_map(tmp_path):
    for text in ("", "\n# nothing\n", "---\n", "null\n"):
        assert read(tmp_path, text) == ({}, [])


def test_keys_are_texts(tmp_path):
    assert read(tmp_path, "NO: 1\n1234: 2\n")[0] == {"NO": 1, "1234": 2}


def test_lines_are_kept(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a:\n  b: 1\n\n  c:\n    - 2\n")
    node, _ = read_yaml(path)
    assert node.value["a"].value["b"].line == 2
    assert node.value["a"].value["c"].line == 4


def test_duplicate_keys_name_both_lines(tmp_path):
    _, problems = read(tmp_path, "a: 1\nb: 2\na: 3\n")
    assert len(problems) == 1
    assert ":3: a appears twice, first in line 1" in problems[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\nb: 3\n", ":2: not YAML"),
        ("audio:\n\tspec_width: 3\n", ":2: a tab"),
        (b"a: \xff\n", ":1: not UTF-8"),
        ("a: 1\nb: \x07\n", ":2: not YAML: a control character"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("[" * 500_000, "nested too deeply"),
        ("- " * 400_000, "nested too deeply"),
        ("{a: " * 200_000, "nested too deeply"),
        ("a: &x [*x]\n", "nested too deeply"),
        ("x" * 2_000_000, "too many"),
    ],
)
def test_broken_files_are_one_sentence(tmp_path, text, expected):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_references_cannot_unfold_without_end(tmp_path):
    """The billion laughs: ten levels of ten references each."""
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="too many values"):
        read(tmp_path, "\n".join(lines))


def test_nothing_is_executed(tmp_path):
    target = tmp_path / "touched"
    text = f"a: !!python/object/apply:os.mkdir ['{target}']\nb: !!python/name:os.system x\n"
    _, problems = read(tmp_path, text)
    assert problems
    assert not target.exists()


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        read_yaml(tmp_path)
