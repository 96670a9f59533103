"""OpenVINO beside ONNX Runtime on this processor: starting, windows, batches, memory.

    python benchmarks/runtimes.py EXPORT [--other-python PYTHON] [--windows N]

ONNX Runtime is not among this project's packages: name the Python of an environment that has it with numpy.
Rounds alternate, the best of each counts. Streams are one per core for both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

ROUNDS = 3
COMMON = """
import json, os, sys, time, resource
import numpy as np
path, windows = sys.argv[1], int(sys.argv[2])
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
images = np.random.default_rng(0).random((windows, 1, 128, 480), dtype=np.float32) ** 3
def times(work):
    work()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return (time.process_time() - cpu) / windows * 1e3, (time.perf_counter() - wall) / windows * 1e3
found = {}
began = time.process_time(), time.perf_counter()
"""
OPENVINO = """
sys.modules["openvino_telemetry"] = None
import openvino
for batch in (1, 4, 16):
    model = openvino.Core().read_model(path)
    model.reshape({"spectrograms": [batch, 1, 128, 480]})
    settings = {"NUM_STREAMS": str(cores), "INFERENCE_NUM_THREADS": cores, "ENABLE_CPU_PINNING": False}
    network = openvino.Core().compile_model(model, "CPU", {**settings, "INFERENCE_PRECISION_HINT": "f32"})
    if batch == 1:
        found["start"] = [1e3 * (time.process_time() - began[0]), 1e3 * (time.perf_counter() - began[1])]
    queue = openvino.AsyncInferQueue(network, 2 * cores)
    def work():
        for first in range(0, windows, batch):
            queue.start_async({0: openvino.Tensor(images[first : first + batch])})
        queue.wait_all()
    found[f"batch {batch}"] = times(work)
"""
ONNXRUNTIME = """
import onnxruntime
from concurrent.futures import ThreadPoolExecutor
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
found["start"] = [1e3 * (time.process_time() - began[0]), 1e3 * (time.perf_counter() - began[1])]
pool = ThreadPoolExecutor(cores)
for batch in (1, 4, 16):
    def work():
        list(pool.map(lambda first: session.run(None, {"spectrograms": images[first : first + batch]}),
                      range(0, windows, batch)))
    found[f"batch {batch}"] = times(work)
"""
END = """
found["memory"] = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 0]
print(json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export")
    parser.add_argument("--other-python")
    parser.add_argument("--windows", type=int, default=128)
    options = parser.parse_args()
    sides = {"OpenVINO": (sys.executable, OPENVINO)}
    if options.other_python:
        sides["ONNX Runtime"] = (options.other_python, ONNXRUNTIME)
    best: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        for side, (python, code) in sides.items():
            command = [python, "-c", COMMON + code + END, options.export, str(options.windows)]
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            if said.returncode:
                raise SystemExit(f"{side} failed:\n{said.stderr[-2000:]}")
            found = json.loads(said.stdout)
            kept = best.setdefault(side, found)
            for key, values in found.items():
                kept[key] = [min(pair) for pair in zip(kept[key], values, strict=True)]
    for side, found in best.items():
        print(side)
        for key in ("start", "batch 1", "batch 4", "batch 16"):
            cpu, wall = found[key]
            print(f"  {key:9} {cpu:8.2f} ms of processor, {wall:8.2f} ms" + (" a window" if key != "start" else ""))
        print(f"  memory    {found['memory'][0]:8.0f} MB at most")


if __name__ == "__main__":
    main()
