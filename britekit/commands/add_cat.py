"""Add a category to a training database.

A category groups classes. The database is created if it is missing; a name that exists already is an error.

    britekit add-cat --name birds
"""

from britekit.commands._editing import adding

add_cat = adding("add-cat", "category", "Category")
