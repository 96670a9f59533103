"""Write a checkpoint by public britekit 1.8.4 and its scores, for `test_public_checkpoints`.

    python make_public.py MODEL HEAD WINDOWS.npy OUT_STEM

Run by the interpreter of an environment that holds that package. Norms and statistics are drawn so that scores differ
from window to window; `load_new_model` and Lightning's own `save_checkpoint` are all that is used of it.
"""

import sys

sys.modules["openvino"] = None  # its Predictor would want exports

import lightning  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import britekit  # noqa: E402

model_type, head, windows, stem = sys.argv[1:]
torch.manual_seed(3)
torch.set_num_threads(1)
cfg = britekit.get_config()
cfg.train.model_type, cfg.train.head_type = model_type, None if head == "None" else head
names = [f"Class {k}" for k in range(7)]
model = britekit.load_new_model(names, [f"C{k}" for k in range(7)], names, names, 100)
x = torch.from_numpy(np.load(windows))[:, None]
with torch.no_grad():
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            weight.normal_(0, 0.2)
        elif weight.ndim <= 1:
            weight.uniform_(0.5, 1.5)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    model.train()
    model(x)
    model.eval()
    # Spread out, but not saturated: scores of nfnet, which has no norms, barely differ from window to window.
    logits = model(x)[0]
    loudness = min(1.5 / float(logits.std(0).mean()), 6.0 / float(logits.abs().max()))
    for weight in model.parameters():
        if weight.ndim >= 2 and weight.shape[0] == 7:
            weight.mul_(loudness)
    segment, frames = model(x)
trainer = lightning.Trainer(max_epochs=0, logger=False, enable_checkpointing=False, accelerator="cpu")
trainer.strategy.connect(model)
trainer.save_checkpoint(f"{stem}.ckpt")
found = {"segment": torch.sigmoid(segment).numpy()}
if frames is not None:
    found["frames"] = torch.sigmoid(frames).numpy()
np.savez(f"{stem}.npz", **found)
