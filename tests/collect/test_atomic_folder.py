import pytest

from britekit.collect.atomic_folder import check_conflicts, publish, staging
from britekit.errors import InputError


def fill(directory, **files):
    for name, text in files.items():
        (directory / name).write_text(text)


def test_a_new_directory_appears_whole(tmp_path):
    target = tmp_path / "deep" / "out"
    with staging(target) as staged:
        fill(staged, a="1", b="2")
        assert not target.exists()
        assert publish(staged, target, "b") == (2, 0)
    assert sorted(path.name for path in target.parent.iterdir()) == ["out"]
    assert (target / "a").read_text() == "1"


def test_an_existing_directory_keeps_the_rest(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    fill(target, a="1", table="old", mine="x")
    with staging(target) as staged:
        fill(staged, a="1", b="2", table="new")
        check_conflicts(staged, target, {"table"})
        assert publish(staged, target, "table") == (2, 1)
    assert {path.name: path.read_text() for path in target.iterdir()} == {
        "a": "1",
        "b": "2",
        "table": "new",
        "mine": "x",
    }


def test_conflicts_are_named(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    fill(target, a="1", b="1")
    with staging(target) as staged, pytest.raises(InputError, match=r"out/a and 1 more exist with"):
        fill(staged, a="2", b="2", c="2")
        check_conflicts(staged, target, set())


def test_a_link_to_another_place_is_followed(tmp_path):
    (tmp_path / "disk" / "real").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    with staging(tmp_path / "out") as staged:
        assert staged.parent == tmp_path / "disk"
        fill(staged, a="1")
        publish(staged, tmp_path / "out", "a")
    assert (tmp_path / "out").is_symlink() and (tmp_path / "disk/real/a").read_text() == "1"


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(InputError, match="out is a file"), staging(tmp_path / "out"):
        pass


def test_leftovers_go_and_those_of_a_running_one_stay(tmp_path):
    with staging(tmp_path / "out") as running:
        left = tmp_path / "sub" / ".out.00000000.partial"
        left.mkdir(parents=True)
        running = running.rename(tmp_path / "sub" / running.name)
        with staging(tmp_path / "sub" / "other"):
            assert not left.exists() and running.exists()
