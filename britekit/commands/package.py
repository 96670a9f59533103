"""Package the ensemble as a Bento, a single file that can be served.

The file contains the exported models, calibration, classes, settings and a pinned list of the packages that
inference needs, without torch and CUDA, together with a
bill of materials (CycloneDX) and a model card: purpose, data, figures and limits of the recognizer. The card is
also written beside the file.

    britekit package -o models/britekit-ensemble.bento
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, opt


def package(
    cfg_path: ConfigPath = None,
    output_path: Annotated[
        Optional[str],
        opt("-o", "--output", metavar="FILE", help="file to write (default: models/britekit-ensemble.bento)"),
    ] = None,
    name: Annotated[
        Optional[str], opt("--name", help="name of the Bento (default: pipeline.bento_name of the settings)")
    ] = None,
    calibration_path: Annotated[
        Optional[str], opt("--calibration", metavar="FILE", help="calibration to include (default: infer.calibration)")
    ] = None,
    containerize: Annotated[bool, opt("--containerize", help="also build the container image, with Docker")] = False,
) -> int:
    """Build the Bento and say how to serve it."""
    from pathlib import Path

    from britekit.files import refuse_overwriting
    from britekit.inference.model_files import resolve_for_models
    from britekit.inference.platt import is_unfitted
    from britekit.project.summary import is_tested, summary_text
    from britekit.service.bento import build_bento
    from britekit.service.card import check_card_path, write_card
    from britekit.service.contents import CARD
    from britekit.service.server import DEFAULT_BENTO
    from britekit.tracking.facts import is_dvc_stage, project_root
    from britekit.tracking.lineage import BENTO, CALIBRATION, MEMBER
    from britekit.tracking.run import stage_run

    if calibration_path is not None and is_unfitted(calibration_path):
        print(f"calibrated = no: {calibration_path} contains no fit, so the service returns scores, not probabilities")
        calibration_path = None
    overrides = {"pipeline.bento_name": name, "infer.calibration": calibration_path}
    cfg, members = resolve_for_models(cfg_path, overrides)
    path = Path(output_path or DEFAULT_BENTO)
    card_path = path.with_name(CARD)
    refuse_overwriting(path, cfg_path, cfg.infer.calibration, *members)
    check_card_path(card_path)
    inputs = dict.fromkeys(map(str, members), MEMBER)
    if cfg.infer.calibration:
        inputs[cfg.infer.calibration] = CALIBRATION
    with stage_run("package", cfg, inputs) as run:
        made = build_bento(cfg, members, path, cfg.pipeline.bento_name, containerize)
        write_card(card_path, made.card)
        facts = {"tag": made.tag, "members": len(made.members), "classes": made.classes, "bytes": made.bytes}
        run.summary(facts)
        run.artifact(cfg.pipeline.bento_name, BENTO, [path, card_path], facts)
    print(f"bento = {made.path}")
    print(f"card = {card_path}")
    print(f"tag = {made.tag}")
    print(f"members = {len(made.members)}")
    print(f"classes = {made.classes}")
    print(f"bytes = {made.bytes}")
    print(f"serve = britekit serve --bento {made.path}")
    if is_dvc_stage() and is_tested(project_root()):
        print(f"\n{summary_text(project_root())}")
    if containerize:
        print(f"image = {made.tag}")
        print(f"run = docker run --rm -p 127.0.0.1:3000:3000 -e BRITEKIT_NO_TOKEN=1 {made.tag}")
    return 0
