"""Write the training file; another name for pickle.

Public britekit uses this name.

    britekit pickle-train --classes data/classes.csv -o data/training.pkl
"""

from britekit.commands.pickle import pickle
from britekit.options import alias

pickle_train = alias(pickle, "pickle_train")
