"""Remove a category, its classes and their recordings.

Every recording that has a segment of one of its classes goes too, with its segments and spectrograms. One
that is shared with a class of another category loses only what belongs to this one.

If the pipeline builds the database, the decision is also appended to data/curation.csv, so that it
applies to the next build.

    britekit del-cat --name birds
"""

from britekit.commands._editing import removal

del_cat = removal("del-cat", "category", "Category", "delete_category", ", its classes and their recordings")
