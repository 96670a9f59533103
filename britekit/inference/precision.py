"""Whether the processor or GPU can run a network in bfloat16."""

from __future__ import annotations

from britekit.errors import ModelError


def has_bfloat16(backend: str, device: str) -> bool:
    """Return whether bfloat16 is native, so that it is faster than float32."""
    if backend == "openvino":
        from britekit.inference.exported import load_openvino

        return "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def require_precision(precision: str, backend: str, device: str) -> None:
    """Raise `ModelError` if the device cannot run networks in ``infer.precision``."""
    if precision == "bf16" and not has_bfloat16(backend, device):
        kind = "processor" if device == "cpu" else "GPU"
        raise ModelError(
            f'infer.precision is "bf16", but this {kind} has no bfloat16 (AVX512_BF16 or AMX, or a recent GPU); set it '
            "to f32"
        )
