"""One file per backbone family.

Each file states its paper and source on top and ends with

- ``SIZES``: the names that may follow the dot (``None`` where any name may), and
- ``build(size, options) -> nn.Module`` mapping (B, 1, H, W) to features (B, F, h, T), with the
  attribute ``num_features``.

``DEFAULT_HEAD`` and ``DEFAULT_HIDDEN`` name the head used when ``train.head_type`` is null
(``DEFAULT_HIDDEN = None``: ``train.hidden_channels``).  A trailing underscore in a file's name keeps it apart
from the package of that name and is not part of the family's name (``timm_.py`` is ``timm``).
"""
