"""Where and when each class occurs, as frequencies per area and week, and their use as a prior.

In: occurrence databases and pickles as public britekit writes them (both versions), or a plain CSV. Out: values
by class, place and week; shifts in log-odds that inference adds to scores. A year has 48 weeks, four per month.

- ``weeks.py``: dates and weeks
- ``failures.py``: errors that are also those of the standard library, as public britekit raises them
- ``database.py``, ``database_v2.py``: the databases; ``provider.py``: values of the first by county code
- ``pickled.py``: reads a pickle, nothing in which can run; ``pickle_provider.py``: values by place and week
- ``pickler.py``: database to pickle; ``migration.py``: version 1 to 2; ``catalog.py``: areas alone
- ``table.py``: any of these files in memory; ``csv_table.py``: the plain CSV
- ``prior.py``: the shifts of a recording's scores
"""
