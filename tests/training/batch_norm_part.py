"""One of two processes: its rows of a batch through synced batch norm, against the whole batch."""

import sys

import torch
import torch.distributed as dist

from britekit.training.sync_norm import synchronise_batch_norm

rank, port, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
case = torch.load(path, weights_only=True)
given, expected = case["given"], case["expected"]
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
rows = slice(0, 3) if rank == 0 else slice(3, 8)
network = torch.nn.Sequential(torch.nn.BatchNorm2d(4))
synchronise_batch_norm(network, torch.device("cpu"))
x = given["x"][rows].clone().requires_grad_()
out = network(x)
(out * given["weight"][rows]).sum().backward()
torch.testing.assert_close(out.detach(), expected["out"][rows], rtol=1e-5, atol=1e-6)
torch.testing.assert_close(x.grad, expected["grad"][rows], rtol=1e-4, atol=1e-5)
torch.testing.assert_close(network[0].running_var, expected["var"])
torch.testing.assert_close(network[0].running_mean, expected["mean"])
dist.destroy_process_group()
