"""Add a sound type to a training database.

A sound type is a kind of vocalisation. The database is created if it is missing; a name that exists already is
an error.

    britekit add-stype --name song
"""

from britekit.commands._editing import adding

add_stype = adding("add-stype", "sound type", "SoundType")
