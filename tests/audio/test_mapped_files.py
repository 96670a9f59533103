"""Searching a whole file for what its header does not tell: every place is found, and memory does not grow with it."""

import mmap
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from britekit.audio import parts

MIB = 1 << 20
# 128 kbit/s, 44.1 kHz, stereo: 144000 * 128 // 44100 bytes.
FRAME = b"\xff\xfb\x90\x00" + bytes(413)
CODE = """
import re, sys
from britekit.audio.flac_frames import contents_of_flac
from britekit.audio.mpeg_frames import contents_of_mp3
find = {"flac": contents_of_flac, "mp3": contents_of_mp3}[sys.argv[1][-4:].strip(".")]
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
with open(sys.argv[1], "rb") as file:
    before = peak()  # ru_maxrss would be that of the parent
    found = find(file)
    print(peak() - before, len(found.parts))
"""


def test_every_marker_is_found_also_across_two_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "SEARCHED_BYTES", mmap.PAGESIZE)
    content = bytearray(np.random.default_rng(0).integers(0, 3, 5 * mmap.PAGESIZE + 7, np.uint8).tobytes())
    for place in range(5):
        at = (place + 1) * mmap.PAGESIZE - place
        content[at : at + 4] = b"fLaC"
    content[20:32] = b"fLaCfLaCfLaC"
    path = tmp_path / "x"
    path.write_bytes(content)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for marker in (b"fLaC", b"\x01\x02", b"absent"):
            expected = [found.start() for found in re.finditer(re.escape(marker), content)]
            assert list(parts.offsets_of(data, marker)) == expected
        assert data[:] == content


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_a_large_file_is_not_held_in_memory(tmp_path, kind):
    path = tmp_path / f"long.{kind}"
    if kind == "flac":
        soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 9000), 8000)
        with open(path, "r+b") as file:
            file.truncate(256 * MIB)
    else:
        first = bytearray(FRAME)
        first[36:48] = b"Xing" + (1).to_bytes(4, "big") + (5).to_bytes(4, "big")
        path.write_bytes(bytes(first) + FRAME * (96 * MIB // len(FRAME)))
    output = subprocess.run([sys.executable, "-c", CODE, path], capture_output=True, text=True, check=True).stdout
    grown_kib, found = map(int, output.split())
    # An MP3 that states too few frames is read from its second frame on.
    assert found == {"flac": 0, "mp3": 1}[kind]
    assert grown_kib < 24 * 1024
