"""Add a source to a training database.

A source is where recordings come from. The database is created if it is missing; a name that exists already is
an error.

    britekit add-src --name "Xeno-Canto"
"""

from britekit.commands._editing import adding

add_src = adding("add-src", "source", "Source")
