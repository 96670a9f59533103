"""Remove a class and its recordings.

Every recording that has a segment of the class goes too, with its segments and spectrograms. One that is
shared with another class loses only what belongs to this one.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it
applies to the next build.

    britekit del-class --name "American Crow"
"""

from britekit.commands._editing import removal

del_class = removal("del-class", "class", "Class", "delete_class", " and its recordings")
