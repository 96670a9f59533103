from pathlib import Path

import pytest

import britekit
from britekit.annotations.classes import read_classes
from britekit.collect import planning

ROOT = Path(britekit.__file__).parents[1]


@pytest.mark.parametrize("name", ["sources.csv", "classes.csv"])
def test_a_new_project_gets_the_repositorys_own_lists(name):
    assert (ROOT / "data" / name).read_bytes() == (ROOT / "britekit/project/data" / name).read_bytes()


def test_the_repositorys_list_can_be_collected():
    planned, classes = planning.plan_collection(ROOT / "data/sources.csv", ROOT / "data/classes.csv")
    assert classes == read_classes(ROOT / "data/classes.csv")
    train = [item for item in planned if not item.is_test]
    assert {item.offer.class_name for item in train} == {info.name for info in classes}
    # what makes the demo last minutes: segments of 5 s, a second one from 7.5 s on
    segments = sum(1 + (item.offer.seconds >= 7.5) for item in train)
    assert 280 <= segments <= 320
    assert len(planned) - len(train) == 30  # fewer make intervals too narrow
