"""Promote a packaged recognizer to a stage such as production, if its test is not worse.

Compares the test of a commit with the test of the commit that is in the stage now, as `compare` does. The lower bound
of the 95 % interval of the leading figure, new minus old, must lie above -0.01 (pipeline.promote_margin). Then the
commit is tagged as GTO does: `dvc artifacts get URL recognizer --stage production` and `serve --stage production`
take that Bento. With W&B online, the Bento is also linked in its registry, with the stage as alias.

    britekit promote
    britekit promote brave-owl --stage staging
"""

from typing import Annotated

from britekit.options import ConfigPath, opt


def promote(
    revision: Annotated[
        str, opt("revision", type=str, nargs="?", metavar="REVISION", help="commit to promote (default: HEAD)")
    ] = "HEAD",
    cfg_path: ConfigPath = None,
    stage: Annotated[str, opt("--stage", help="stage to promote to (default: production)")] = "production",
) -> str:
    """Promote a commit's Bento; return the commit."""
    from britekit.config import resolve
    from britekit.project.promotion import ARTIFACT, fetched_bento
    from britekit.project.promotion import promote as promote_commit
    from britekit.tracking.facts import project_root
    from britekit.tracking.run import link_in_registry

    cfg, root = resolve(cfg_path), project_root()
    made = promote_commit(root, revision, stage, cfg.pipeline.promote_margin)
    if made.comparison is not None:
        for sentence in made.comparison.exclusions:
            print(sentence)
        print(f"verdict = {made.comparison.verdict()}")
    print(f"promoted = {made.commit} to {stage}")
    print(f"before = {made.before or 'none'}")
    print(f"tags = {' '.join(made.tags)}")
    print(f"push = git push origin {' '.join(made.tags)}")
    with fetched_bento(root, made.commit) as path:
        facts = {"commit": made.commit, "stage": stage}
        reason = link_in_registry(cfg, ARTIFACT, path, stage, facts)
    print(f"registry = {reason or f'linked as {ARTIFACT}:{stage}'}")
    return made.commit
