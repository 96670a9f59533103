"""Find recordings of one class that are the same; another name of find-dup.

Candidates are equally long, within 0.1 s, and their first segments are near each other by their embeddings
(see embed). They are the same if the stored spectrograms of all their segments sound the same too: recoded,
quieter or shifted by up to 0.1 s, but not another call. Of those, the one with most segments is kept.

    britekit dedup-rec --name Ovenbird
"""

from britekit.commands.find_dup import find_dup
from britekit.options import alias

dedup_rec = alias(find_dup, "dedup_rec")
