"""Let a small student decide which windows the ensemble sees, with a bound on what is lost.

Student and ensemble score the same recordings, which must be typical of those to come and not of the test: the bound
holds only where as much is heard. A screen from clips that are full of calls loses more in recordings that are mostly
silent. `analyze` prints the share of windows that pass beside that of these recordings, and warns if they differ much.

For each class the highest threshold on the student is taken at which no more than --lose of the ensemble's
detections fall below it: the exact upper bound of 95 % (Clopper-Pearson), not the share itself. A class with too
few detections for such a bound is named and not screened: every window passes for it, or with --mark none does.
With --together one threshold, on the student's highest score, bounds the share of windows with a detection that are
lost; that needs fewer hours of recordings in which each class alone is rare. The student may look at smaller
spectrograms than the ensemble; those of the ensemble are then computed for windows that pass only.
Set infer.screen to the file, and analyze, watch, the service and a package compute only windows that some class
lets pass. What is not computed has no score (NaN in scores.npz), never 0.

    britekit screen -i recordings --student models/student/student.ckpt -o models/screen.yaml
"""

from typing import Annotated, Any

from britekit.options import CkptPath, ConfigPath, MinScore, Raw, WindowOverlap, opt


def screen(
    cfg_path: ConfigPath = None,
    input_path: Annotated[
        str, opt("-i", "--input", required=True, metavar="PATH", help="recordings, with all folders below")
    ] = "",
    student: Annotated[
        str, opt("--student", required=True, metavar="CKPT", help="checkpoint or export of the student")
    ] = "",
    output_path: Annotated[
        str, opt("-o", "--output", metavar="FILE", help="the screen (default: models/screen.yaml)")
    ] = "models/screen.yaml",
    lose: Annotated[
        float, opt("--lose", metavar="SHARE", help="most detections of a class to lose, as a bound (default: 0.01)")
    ] = 0.01,
    mark: Annotated[
        bool, opt("--mark", help="no window passes for classes without a bound; where none passes, they have no score")
    ] = False,
    together: Annotated[
        bool, opt("--together", help="bound windows with detections of all classes together, by one threshold")
    ] = False,
    min_score: MinScore = None,
    overlap: WindowOverlap = None,
    ckpt_path: CkptPath = None,
    raw: Raw = False,
) -> Any:
    """Measure a student against the ensemble and write a screen.

    Returns
    -------
    britekit.inference.screen_fit.ScreenReport
        The screen, and what it saves and loses.

    Raises
    ------
    InputError
        Nothing was detected, or an option is not possible.
    ModelError
        The student does not fit the ensemble.
    """
    from pathlib import Path

    from britekit.audio.files import find_recordings
    from britekit.errors import InputError
    from britekit.files import refuse_overwriting
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.labeling import Labeler
    from britekit.inference.model_files import resolve_for_models
    from britekit.inference.screen_fit import fit_screen

    if not input_path or not student:
        raise InputError("recordings and a student are needed; name them with -i and --student")
    overrides = {"infer.min_score": min_score, "infer.overlap": overlap, "infer.screen": None}
    paths = find_recordings(input_path, recursive=True)
    cfg, members = resolve_for_models(cfg_path, overrides, ckpt_path)
    cfg.infer.screen = None
    output = Path(output_path)
    refuse_overwriting(output, cfg_path, student, *members)
    ensemble = load_ensemble(cfg, members)
    labeler = Labeler(cfg, ensemble, ensemble.calibration(raw))
    found = fit_screen(cfg, ensemble, labeler, Path(student), paths, output, lose, mark, together)
    for name, each in found.screen.classes.items():
        if each.threshold is None:
            print(f"{name} = not screened: {each.detections} detections")
        else:
            bound = "" if together else f", at most {each.bound:.2%}"
            print(f"{name} = {each.threshold:.4f} ({each.lost} of {each.detections} detections below{bound})")
    bounds = {each.bound for each in found.screen.classes.values() if each.bound is not None}
    if together and bounds:
        print(f"windows_lost = at most {max(bounds):.2%} of {found.detected} with a detection")
    heard = f"{found.detected} with a detection ({found.detected / found.windows:.1%})"
    print(f"windows = {found.windows}, computed = {found.passed} ({found.passed / found.windows:.1%}), {heard}")
    print(f"detections = {found.without}, with the screen {found.with_} ({found.with_ / found.without:.2%})")
    print(f"cost = {found.cost:.1%} of the models without the screen ({1 / found.cost:.1f} times as fast)")
    print(f"scores = {labeler.calibration.describe()}")
    print(f"screen = {output}")
    print(f"table = {output.with_suffix('.csv')}")
    if found.failed:
        raise InputError(f"{len(found.failed)} of {len(paths)} recordings could not be scored and were left out")
    return found
