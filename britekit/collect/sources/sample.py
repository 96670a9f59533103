"""Synthesized recordings of imaginary species.

The query is the name of a species, or empty for the row's own class, or ``*`` for all species of the class
list. In the split test it synthesizes soundscapes with calls of all these species and exact annotations; the
row's class is then ``*``. In the split unlabelled it synthesizes soundscapes of other sites (noise, distance, echo,
mix of species) without annotations; the query ``sites`` in the split test gives those of sites that these lack.
"""

from collections.abc import Iterable

from britekit.collect import sample
from britekit.collect.context import Context
from britekit.collect.offers import ANY_CLASS, Offer, SourceRow
from britekit.collect.synth.species import NOISE, SPECIES, Species, find_species
from britekit.errors import InputError

_SITES = "sites"


def find(row: SourceRow, context: Context) -> list[Offer]:
    """Offer `row.limit` recordings, per species in the split train and altogether in the split test."""
    query = row.query or row.class_name
    sites = row.split == "unlabelled" or (row.split == "test" and query == _SITES)
    query = ANY_CLASS if sites and query == _SITES else query
    names = {info.name for info in context.classes}
    chosen: list[Species | None]
    if query == ANY_CLASS:
        chosen = [species for species in SPECIES if species.info.name in names]
        if row.split == "train" and NOISE.name in names:
            chosen.append(None)
    else:
        chosen = [find_species(query)]
    if not any(chosen) and (row.split != "train" or not chosen):
        raise InputError("no imaginary species of the class list could call in these recordings")
    planned: Iterable[sample.SampleRecording]
    callers = [species for species in chosen if species]
    if sites:
        unseen = row.split == "test"
        count = row.limit or (sample.DEFAULT_TEST if unseen else sample.DEFAULT_ARCHIVE)
        planned = sample.plan_sites(callers, count, sample.DEFAULT_SEED, unseen)
        return [_offer(recording, "") for recording in planned]
    if row.split == "test":
        planned = sample.plan_test(callers, row.limit or sample.DEFAULT_TEST, sample.DEFAULT_SEED)
        return [_offer(recording, "") for recording in planned]
    offers = []
    for species in chosen:
        planned = sample.plan_training(species, row.limit or sample.DEFAULT_RECORDINGS, sample.DEFAULT_SEED)
        for recording in planned:
            name = recording.class_name if row.class_name == ANY_CLASS else row.class_name
            offers.append(_offer(recording, name))
    return offers


def _offer(recording: sample.SampleRecording, class_name: str) -> Offer:
    origin = f"sample {recording.stem} of {'+'.join(map(str, recording.key))}"
    return Offer(recording.stem + ".flac", class_name, origin, recording.write, recording.seconds, recording.details)
