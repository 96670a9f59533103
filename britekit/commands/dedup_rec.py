"""Find duplicate recordings of one class; another name for find-dup.

Candidates have the same length within 0.1 s, and first segments with similar embeddings (see embed). They are
duplicates if the stored spectrograms of all their segments also match: re-encoded, quieter or shifted by up
to 0.1 s, but not a different call. The recording with most segments is kept.

    britekit dedup-rec --name Ovenbird
"""

from britekit.commands.find_dup import find_dup
from britekit.options import alias

dedup_rec = alias(find_dup, "dedup_rec")
