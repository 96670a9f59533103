"""Remove a sound type.

Segments that named it stay, without a sound type.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it
applies to the next build.

    britekit del-stype --name song
"""

from britekit.commands._editing import removal

del_stype = removal("del-stype", "sound type", "SoundType", "delete_soundtype")
