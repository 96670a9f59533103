"""Run the models on stored spectrograms to find bad training data.

Reports, for each spectrogram, the score of its own class and the highest score of another class. Writes
class_summary.csv, summary.txt, a table per class with the lowest scores first, and most_contradicted.jpeg, a
sheet of the worst of all classes. --plot adds a picture of each spectrogram below --max, in a folder per
class; keep the bad ones and remove them from the database with del-seg. This command only reads the database.

--occlude also scores each spectrogram without its first 1, 2, 3 ... frames (train.sed_fps per second), and without
its last ones, and lists all spectrograms with these scores: plot-occlude and pickle-frame read them to find which
frames carry the score. It takes twice as many passes as a spectrogram has frames.

    britekit analyze-db -d data/training.db -o results/contradicted --plot --max 0.3
"""

from typing import Annotated, Optional

from britekit.options import CkptPath, ConfigPath, DbPath, ReportDir, SpecGroup, opt


def analyze_db(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    class_name: Annotated[Optional[str], opt("--name", metavar="NAME", help="one class (default: all)")] = None,
    classes_path: Annotated[Optional[str], opt("--classes", metavar="FILE", help="class list (default: all)")] = None,
    spec_group: SpecGroup = "default",
    output_path: ReportDir = "",
    plot: Annotated[bool, opt("--plot", help="also draw each spectrogram below --max")] = False,
    max_score: Annotated[
        float, opt("--max", metavar="FLOAT", help="list and draw only spectrograms with a lower score (default: 0.95)")
    ] = 0.95,
    occlude: Annotated[
        bool, opt("--occlude", help="list all spectrograms, also with their scores without some of their frames")
    ] = False,
    ckpt_path: CkptPath = None,
) -> dict[str, float]:
    """Score stored spectrograms and report; return the mean score of each class."""
    from britekit.annotations.classes import read_classes
    from britekit.database.session import open_database
    from britekit.errors import InputError, counted
    from britekit.evaluation import contradiction_files as files
    from britekit.evaluation.contradictions import find_contradictions
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import resolve_for_models

    if not output_path:
        raise InputError("an output directory is needed: name it with -o")
    if class_name is not None and classes_path is not None:
        raise InputError("--name and --classes exclude each other; give one of them, or neither for all")
    if not 0 <= max_score <= 1:
        raise InputError(f"--max {max_score:g} is not a score; expected 0 to 1")
    names = None
    if class_name is not None:
        names = [class_name]
    elif classes_path is not None:
        names = [info.name for info in read_classes(classes_path)]
    cfg, members = resolve_for_models(cfg_path, None, ckpt_path)
    database = db_path or cfg.train.train_db
    with open_database(database) as session:
        cfg.infer.window_s = None  # stored spectrograms have the length of the model's windows
        ensemble = load_ensemble(cfg, members)
        views = find_contradictions(session, ensemble, names, spec_group, occlude)
        models = ", ".join(member.path.name for member in ensemble.members)
        facts = f'  Group "{spec_group}" of {session.info["where"]}\n  Models: {models}'
        files.write_contradictions(output_path, views, max_score, facts)
        files.write_sheet(output_path, session, views, cfg.audio)
        if plot:
            count = files.plot_contradictions(output_path, session, views, cfg.audio, max_score)
            print(f"Plotted {counted(count, 'spectrogram')}")
    for view in views:
        print(f"{view.info.name} = {view.scores.mean():.3f}")
    print(f"spectrograms = {sum(len(view.rows) for view in views)}")
    print(f"below_max = {sum(len(files.below(view, max_score)) for view in views)}")
    return {view.info.name: float(view.scores.mean()) for view in views}
