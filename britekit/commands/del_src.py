"""Remove a source and its recordings.

All its recordings go too, with their segments and spectrograms.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it
applies to the next build.

    britekit del-src --name "Xeno-Canto"
"""

from britekit.commands._editing import removal

del_src = removal("del-src", "source", "Source", "delete_source", " and its recordings")
