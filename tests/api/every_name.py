"""Uses every public name, with the types that a caller relies on; tests/api/test_typing.py checks it.

Nothing here is run.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas

import britekit as bk


def settings() -> bk.BaseConfig:
    version: str = bk.__version__
    cfg = bk.get_config()
    cfg.infer.min_score = 0.5 if version else 0.6
    rate: int = cfg.audio.sampling_rate
    print(rate)
    return cfg


def records() -> None:
    annotations: list[bk.Annotation] = bk.read_annotations("annotations.csv")
    labels: list[bk.Label] = bk.read_labels("labels")
    classes: list[bk.ClassInfo] = bk.read_classes("classes.csv")
    verdicts: list[bk.Verdict] = bk.read_verdicts("verdicts.csv")
    table: bk.ScoreTable = bk.ScoreTable.load("labels/scores.npz")
    scores = [label.score for label in labels if label.name == classes[0].name]
    print(sum(scores), annotations[0].start, verdicts[0], table)


def sound(cfg: bk.BaseConfig) -> None:
    audio = bk.Audio.from_file("a.wav", cfg)
    audio = bk.Audio.from_array(np.zeros(100), 100, cfg.audio, device="cpu")
    audio.set_config(cfg)
    signal, rate = audio.load(Path("a.wav"))
    normalized, raw = audio.get_spectrograms([0.0, 1.5], spec_duration=3, decibels=True)
    first = normalized[0]
    if first is not None:
        shape: tuple[int, ...] = first.shape
        print(shape, raw)
    length: float = audio.seconds()
    samples: int = audio.signal_len()
    audio.plot(start_s=1, seconds=2, path="a.png").save("b.png")
    print(signal.mean() + rate + length + samples, audio.signal.dtype)


def database() -> int:
    rows: list[SimpleNamespace]
    with bk.TrainingDatabase("training.db", mode="write") as db:
        total: int = db.insert_category("birds") + db.get_category_count() + db.delete_category({"Name": "birds"})
        rows = db.get_category()
        total += db.update_category(1, "Name", "frogs")
        total += db.insert_class(1, "Robin", "Erithacus", "ROB") + db.get_class_count({"Code": "ROB"})
        rows += db.get_class({"Name": "Robin"})
        total += db.update_class(1, "Code", "R") + db.delete_class({"ID": 1})
        total += db.insert_recording(1, "a.wav", "/in/a.wav", 10.0) + db.get_recording_count()
        rows += db.get_recording()
        total += db.update_recording(1, "Seconds", 9.0) + db.delete_recording({"ID": 1})
        total += db.insert_segment(1, 3.0) + db.get_segment_count() + db.update_segment(1, "Offset", 2.0)
        rows += db.get_segment()
        total += db.delete_segment({"ID": 1}) + db.insert_segment_class(segment_id=1, class_id=1)
        rows += db.get_segment_class()
        total += db.get_segment_class_count() + db.update_segment_class(1, "ClassID", 2)
        total += db.delete_segment_class({"ID": 1}) + db.insert_soundtype("song") + db.get_soundtype_count()
        rows += db.get_soundtype()
        total += db.update_soundtype(1, "Name", "call") + db.delete_soundtype({"Name": "call"})
        total += db.insert_source("field") + db.get_source_count() + db.update_source(1, "Name", "x")
        rows += db.get_source()
        total += db.delete_source({"ID": 1}) + db.insert_specgroup("fine") + db.get_specgroup_count()
        rows += db.get_specgroup()
        total += db.update_specgroup(1, "Name", "coarse") + db.delete_specgroup({"ID": 1})
        total += db.insert_specvalue(b"value", 1, 1) + db.get_specvalue_count()
        rows += db.get_specvalue()
        total += db.update_specvalue(1, "SegmentID", 2) + db.delete_specvalue({"ID": 1})
        rows += db.get_recording_by_class("Robin") + db.get_segment_by_class("Robin", include_audio=True)
        rows += db.get_all_segment_counts() + db.get_spectrogram_by_class("Robin", limit=2)
        with db.transaction():
            db.optimize()
        provider = bk.TrainingDataProvider(db)
        ids: list[int] = [
            provider.category_id(),
            provider.class_id("Wren"),
            provider.source_id("XC1.mp3"),
            provider.specgroup_id(),
        ]
        summary, details = provider.class_info()
        print(ids, summary, details, provider.spec_group_info(), provider.segment_class_dict())
        new: int = bk.Extractor(db, "Robin", cfg=settings()).extract_all("recordings")
    db.close()
    return total + len(rows) + new


def training(cfg: bk.BaseConfig) -> None:
    counts: dict[str, int] = bk.Pickler("training.db", "training.pkl", cfg=cfg).pickle()
    counts |= bk.TrainingPickler().pickle(quiet=False)
    done: int = bk.Reextractor("training.db", check=True).run().spectrograms
    result = bk.Trainer(cfg=cfg).run(seed=7)
    frame: pandas.DataFrame = result.to_dataframe()
    result.plot("training.png")
    rate: float = bk.Trainer().find_lr(50)
    best, values = bk.Tuner(None, "tuning", "annotations.csv", metric="micro_pr").run()
    print(counts, done, frame, rate, best + 1, values.keys(), result.loss)


def inference(cfg: bk.BaseConfig) -> None:
    summary = bk.Analyzer(cfg=cfg).run("recordings", "labels", rtype="csv")
    failed: dict[Path, str] = summary.failed if summary else {}
    predictor = bk.Predictor("models", device="cpu", cfg=cfg)
    scored: bk.ScoredRecording = predictor.score("a.wav")
    frame: pandas.DataFrame = scored.to_dataframe()
    scored.to_audacity("a.txt")
    scored.plot("a.png", limit=3)
    print(scored.scores.shape, scored.seconds, len(scored.labels()), frame)
    scores, frames, starts = predictor.get_raw_scores("a.wav")
    labels = predictor.get_segment_labels(scores, starts)["Robin"][0].start_time + 1.5
    predictor.save_audacity_labels(scores, frames, starts, "a.txt")
    print(failed, labels, predictor.class_names[0].upper())


def occurrence() -> None:
    counties = bk.OccurrenceDatabase("counties.db")
    areas = bk.OccurrenceDatabaseV2("areas.db")
    provider = bk.OccurrenceDataProvider(counties)
    bk.OccurrencePickler("areas.db", "areas.pkl").pickle()
    print(areas, provider, bk.OccurrencePickleProvider("areas.pkl"))


def networks() -> int:
    new = bk.load_new_model(["Robin"], ["ROB"], [""], [""], 10)
    scores, frames = bk.load_from_checkpoint("a.ckpt", apply_training_config=False).predict(np.zeros((1, 1, 2, 3)))
    rows: int = scores.shape[0]
    return new.num_classes + rows + (0 if frames is None else 1)


def tests(cfg: bk.BaseConfig) -> None:
    paths = ("annotations.csv", None, "labels", "out")
    segments = bk.PerSegmentTester(*paths, threshold=0.5, cfg=cfg)
    report = segments.run()
    frame: pandas.DataFrame = report.to_dataframe()
    report.plot("pr.png")
    segments.do_calibration().plot().save("calibration.png")
    written: list[Path] = bk.PerBlockTester(*paths, threshold=0.5, block_size=30).produce_reports()
    written += bk.PerMinuteTester(*paths, threshold=0.5).produce_reports()
    written += bk.PerRecordingTester(*paths, threshold=0.5, tp_secs_at_precision=0.9).produce_reports()
    print(frame, written)


def helpers() -> list[str]:
    packed: bytes = bk.util.compress_spectrogram(bk.util.expand_spectrogram(b"")[0])
    found: pandas.DataFrame = bk.util.labels_to_dataframe("labels")
    return [bk.util.get_device(), str(len(packed) + len(found)), *bk.util.get_audio_files("recordings")]


def commands() -> None:
    paths: list[str]
    score, paths = bk.commands.ensemble(ckpt_path="checkpoints", annotations_path="annotations.csv")
    added: int = bk.commands.extract_all(class_name="Robin", dir_path="robins")
    print(score + added, paths, bk.commands.command_names())


def failures() -> None:
    try:
        commands()
    except (bk.ConfigError, bk.DatabaseError, bk.ModelError, bk.InferenceError, bk.TrainingError) as error:
        print(error)
    except bk.InputError as error:
        raise bk.BriteKitError(str(error)) from error
