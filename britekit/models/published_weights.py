"""timm's published weights: whether there are any, and fetching them without long waits or noise."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import timm
from timm.models import get_pretrained_cfg

from britekit.errors import ModelError, suggest

_PATIENCE_S = 10.0


def check_published(name: str) -> None:
    """Refuse a timm network that has no published weights, or not those of the given tag.

    Parameters
    ----------
    name
        ``network`` or ``network.tag``.

    Raises
    ------
    ModelError
        With the tags there are.
    """
    network, _, tag = name.partition(".")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{network}.*")]
    if not tags:
        raise ModelError(
            f'train.pretrained: there are no published weights of timm network "{network}"; set it to false'
        )
    if tag and tag not in tags:
        raise ModelError(
            f'train.model_type: timm network "{network}" has no weights "{tag}"; there are {", ".join(tags)}'
            + suggest(tag, tags)
        )


@contextmanager
def patient_hub(name: str) -> Iterator[None]:
    """Ask for weights once: without a network they come from the cache, or fail at once.

    The hub's client would try for a minute, file by file, and report each attempt.

    Raises
    ------
    ModelError
        No answer, and nothing in the cache.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    log = logging.getLogger("huggingface_hub")
    level, offline = log.level, constants.HF_HUB_OFFLINE
    log.setLevel(logging.ERROR)
    try:
        if not offline and get_pretrained_cfg(name).hf_hub_id and not _answers(constants.ENDPOINT):
            constants.HF_HUB_OFFLINE = True
        try:
            yield
        except LocalEntryNotFoundError as error:
            raise ModelError(
                f'train.pretrained: weights of timm network "{name}" could not be had ({constants.ENDPOINT} '
                "does not answer, and they are not in the cache); connect to the network once, or set "
                "train.pretrained to false"
            ) from error
    finally:
        constants.HF_HUB_OFFLINE = offline
        log.setLevel(level)


def _answers(address: str) -> bool:
    import requests

    try:
        requests.head(address, timeout=_PATIENCE_S)
    except requests.RequestException:
        return False
    return True
