"""Which stored segment a new window is."""

import random

import pytest

from britekit.database.segments import nearest


def by_looking_at_all(offset, stored, tolerance):
    closest = min(stored, key=lambda other: (abs(other - offset), other), default=None)
    return closest if closest is not None and abs(closest - offset) < tolerance else None


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_nearest_is_what_looking_at_all_finds(count):
    draw = random.Random(count)
    for _time in range(500):
        stored = sorted({draw.randrange(0, 120) / 4 for _segment in range(count)})
        offset = draw.choice([draw.uniform(-2, 32), draw.randrange(-8, 128) / 8])
        assert nearest(offset, stored, 0.5) == by_looking_at_all(offset, stored, 0.5)


def test_a_tie_goes_to_the_earlier():
    assert nearest(1.0, [0.75, 1.25], 0.5) == 0.75
    assert nearest(1.5, [1.0, 2.0], 0.5) is None
