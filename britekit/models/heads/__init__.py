"""One file per head.

Each file ends with ``build(num_features, num_classes, options) -> nn.Module``, a module mapping features
(B, F, h, T0) to ``(segment_logits (B, C), frame_logits (B, C, T) or None)``, and states ``IS_SED``: whether
it gives frame logits.
"""
