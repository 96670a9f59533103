"""Functions that scripts for public britekit 1.8.4 call beyond the classes of `britekit.api`, under its names.

- ``scripts.py``: `bk.util`
- ``tester_steps.py``: inner steps of the testers, and its names of their figures
"""
