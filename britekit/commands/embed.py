"""Compute and store the embeddings that search and find-dup compare.

misc.search_ckpt_path names the model: a checkpoint, an export, or a folder of several, whose embeddings are
averaged. Embeddings from another model are replaced; an interrupted command can be repeated.

    britekit embed --name Ovenbird
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, DbPath, SpecGroup, opt


def embed(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    class_name: Annotated[Optional[str], opt("--name", metavar="NAME", help="one class (default: all)")] = None,
    spec_group: SpecGroup = "default",
) -> int:
    """Compute and store embeddings; return how many spectrograms have one now."""
    from britekit.datasets.hand_edits import edit_by_hand
    from britekit.inference.embed_database import embed_stored
    from britekit.inference.embedding import open_search_model

    model = open_search_model(cfg_path)
    with edit_by_hand(db_path or model.cfg.train.train_db) as edits:
        total = embed_stored(
            edits.session, model, class_name, spec_group, on_class=lambda name, count: print(f"{name} = {count}")
        )
    print(f"embeddings = {total}")
    return total
