"""Thousands of bad inputs, read in processes of their own: no crash, no hang, no silent success."""

import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("fuzzing.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("fuzzing", WORKER)
    fuzzing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzzing)
    place = tmp_path_factory.mktemp("fuzz")
    fuzzing.make_whole(place)
    return place


def run(folder, first, count):
    command = [sys.executable, str(WORKER), str(folder), str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 30 * count)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    problems = [f"{event['problem']}: {event['what']}" for event in events if "problem" in event]
    ended = {event[key] for event in events for key in ("end", "problem") if key in event}
    crashed = [event["begin"] for event in events if "begin" in event and event["begin"] not in ended]
    if crashed or done.returncode not in (0, 1) or len(ended) != count:
        problems.append(f"{crashed}: the process ended with {done.returncode}\n{done.stderr[-3000:]}")
    return problems, [event["what"] for event in events if "end" in event]


def fuzz(folder, first, count, processes=2):
    share = count // processes
    with ThreadPoolExecutor(processes) as pool:
        results = list(pool.map(lambda n: run(folder, first + n * share, share), range(processes)))
    assert not (problems := [problem for found, _ in results for problem in found]), "\n".join(problems)
    return [what for _, outcomes in results for what in outcomes]


def test_a_hundred_bad_inputs(folder):
    outcomes = fuzz(folder, 0, 100)
    assert len(outcomes) == 100
    # The inputs are what they should be: some refused, some read in part, some whole.
    assert sum("refused" in what for what in outcomes) > 10 and sum("cut at" in what for what in outcomes) > 30


@pytest.mark.soak
def test_two_thousand_bad_inputs(folder):
    assert len(fuzz(folder, 1000, 2000)) == 2000


@pytest.mark.soak
def test_every_format_cut_at_two_hundred_places(folder):
    """Numbers far apart, all of kind ``cut``: 200 for each of the whole files."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; import numpy as np, fuzzing\n"
        "f = fuzzing.Fuzzer(Path(sys.argv[1]))\n"
        "every = list(f.whole)\n"
        "for k, source in enumerate(every):\n"
        "    f.whole = [source]\n"
        "    for n in range(200): f.cut(np.random.default_rng(1000 * k + n), 1000 * k + n)\n"
        "print(len(every) * 200)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(WORKER.parent)], capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 8000
