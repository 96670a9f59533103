"""Remove a spectrogram group and its spectrograms.

Its spectrograms go too; segments stay.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it
applies to the next build.

    britekit del-sgroup --name default
"""

from britekit.commands._editing import removal

del_sgroup = removal("del-sgroup", "spectrogram group", "SpecGroup", "delete_group", " and its spectrograms")
