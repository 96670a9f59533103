"""Inner names of public britekit 1.8.4 that its clients import; everything here is re-exported.

- ``audio.py``, ``predictor.py``, ``util.py``, ``exceptions.py``, ``config_loader.py``: ours under their names
- ``base_config.py``: settings as plain fields, which OmegaConf takes
"""
