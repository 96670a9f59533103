"""An hour of everything at once: memory stays where it is, and nothing is answered with 5xx."""

import concurrent.futures
import os
import random
import time

import httpx
import psutil
import pytest
import soundfile

from tests.service.running import serving
from tests.service.tone_model import tones, write_project

SECONDS = float(os.environ.get("BRITEKIT_SOAK_SECONDS", "3600"))


@pytest.mark.soak
def test_an_hour_of_mixed_load(tmp_path):
    """Clips, long recordings, bad files, clients that leave; 12 at once for 8 places, so some come back."""
    for seconds in (5, 60, 1800):
        soundfile.write(tmp_path / f"{seconds}.flac", tones(seconds), 16000)
    settings = str(write_project(tmp_path))
    with serving(["-c", settings], tmp_path, BRITEKIT_MAX_REQUESTS="8") as server:
        began = time.monotonic()
        memory: list[tuple[float, float]] = []
        with concurrent.futures.ThreadPoolExecutor(13) as pool:
            clients = [pool.submit(client, server, seed, began + SECONDS) for seed in range(12)]
            while time.monotonic() < began + SECONDS:
                time.sleep(SECONDS / 120)
                family = [psutil.Process(pid) for pid in server.family()]
                memory.append((time.monotonic() - began, sum(p.memory_info().rss for p in family) / 1e6))
            counts = [future.result() for future in clients]
        statuses: dict[int, int] = {}
        for count in counts:
            for status, number in count.items():
                statuses[status] = statuses.get(status, 0) + number
        print(statuses, memory[0], memory[-1])
        assert set(statuses) <= {0, 200, 422, 429} and {0, 200, 422, 429} <= set(statuses), statuses
        # The scores that are kept fill up first, so the second half is compared with the end of the first.
        before = max(value for at, value in memory if SECONDS / 4 < at <= SECONDS / 2)
        after = max(value for at, value in memory if at > 3 * SECONDS / 4)
        assert after < 1.1 * before, memory
        time.sleep(2.0)
        assert not server.uploads()
        assert "Traceback" not in server.log.read_text()


def client(server, seed: int, until: float) -> dict[int, int]:
    """Ask for this and that until the time is over; count the statuses, 0 for requests left unanswered."""
    rng, counts = random.Random(seed), {}
    folder = server.log.parent
    with httpx.Client(base_url=server.url, timeout=600) as session:
        while time.monotonic() < until:
            kind = rng.choices((5, 60, 1800, 0), (80, 10, 2, 8))[0]
            content = (folder / f"{kind}.flac").read_bytes() if kind else rng.randbytes(3000)
            content += rng.randbytes(4)  # new to the server
            path = rng.choices(("detections", "scores", "spectrogram"), (6, 2, 2))[0]
            patience = 0.2 if kind == 1800 and rng.random() < 0.5 else 600
            try:
                answer = session.post(f"/{path}", files={"audio": ("x.flac", content)}, timeout=patience)
                status = answer.status_code
            except httpx.TimeoutException:
                status = 0
            counts[status] = counts.get(status, 0) + 1
            if status == 429:
                time.sleep(float(answer.headers["retry-after"]) * rng.random())
    return counts
