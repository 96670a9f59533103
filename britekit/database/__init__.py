"""The training database: recordings, segments, classes and stored spectrograms.

In come rows and encoded spectrograms, out come typed objects and queries. A function takes a SQLAlchemy
session and leaves the commit to its caller, so that a thousand inserts are one transaction.

- `schema`: the tables, as mapped classes
- `targets`: what a database is called: a path, or a URL
- `session`: opening a database, publishing one that was built
- `preparation`: creating the tables, checking that a database has them
- `side_files`: what SQLite keeps beside a file, when another file takes its place
- `conversion`: a database of the oldest schema
- `failures`: what SQLAlchemy and SQLite say, as one sentence
- `classes`: categories and classes by name
- `recordings`: sources, recordings and what is known about them
- `segments`: segments and their links to classes
- `named`: rows that have a name: finding, requiring and adding them
- `deletion`: removing rows with all that hangs on them
- `class_segments`: finding the segments of a class that people point out
- `copying`: a class from one database to another
- `spectrograms`: the stored form of a spectrogram, spectrogram groups, reading and writing values
- `embeddings`: the stored form of an embedding, and those of a class as one matrix
- `tracked`: whether a database is an output of the DVC pipeline
- `summary`, `samples`, `findings`: what a database holds, and what of it asks for attention
- `report`, `summary_page`: the tables and the page of that
"""
