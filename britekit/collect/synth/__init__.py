"""Synthesized recordings of imaginary species, for the demo, for tests and for a first look.

- ``species.py``: the imaginary species; ``calls.py``: their calls
- ``acoustics.py``: distance, echo and background between them and the microphone
- ``sites.py``: other places: microphone, noise, echo, distances, mix of species
- ``soundscape.py``: the mixed recording with exact annotations
"""
