"""One of two processes: its rows of a batch through synced batch norm, against the whole batch.

First each has a part; then the first has none, and goes along with a row that must not count.
"""

import sys

import torch
import torch.distributed as dist

from britekit.training.sync_norm import note_samples, synchronize_batch_norm

rank, port, path, device = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
case = torch.load(path, weights_only=True)
given, expected = case["given"], case["expected"]
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
for rows, counts in ((slice(0, 3), slice(3, 8)), (True, True)), ((slice(0, 1), slice(0, 8)), (False, True)):
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(4)).to(device)
    synchronize_batch_norm(network, torch.device(device))
    note_samples(network, counts[rank], all(counts))
    x = given["x"][rows[rank]].clone().to(device).requires_grad_()
    out = network(x)
    (out * given["weight"][rows[rank]].to(device)).sum().mul(float(counts[rank])).backward()
    if counts[rank]:
        torch.testing.assert_close(out.detach().cpu(), expected["out"][rows[rank]], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(x.grad.cpu(), expected["grad"][rows[rank]], rtol=1e-4, atol=1e-5)
    else:
        assert x.grad.abs().max() == 0
    torch.testing.assert_close(network[0].running_var.cpu(), expected["var"])
    torch.testing.assert_close(network[0].running_mean.cpu(), expected["mean"])
dist.destroy_process_group()
