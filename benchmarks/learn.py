"""Active learning on real clips: how few labels give what all of them give?

    python benchmarks/learn.py WORK --set esc10=DIR --set insects=DIR [--archives DIR] [--embedder YAML]
        [--seeds 10] [--every 5] [--shares 0.1,0.2,0.4]

A scripted reviewer goes through `review --queue learn` on an archive by an embedder that was not trained on these
sets, and names the class of each window that it hears: one label. The probe of the queue is then tested on clips of
other originals (ESC-10: fold 4; insects: the test side of split.csv), macro average precision over the classes, and
compared with the same probe on as many windows drawn at random, and on all. Pairs by seed; 95 % interval of the
mean difference by Student's t. Results so far are in WORK/learn.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.probe import Clips, by_clip, figures, read_clips  # noqa: E402
from britekit.annotations.verdicts import Verdict, new_id, read_verdicts  # noqa: E402
from britekit.archive.store import Archive  # noqa: E402
from britekit.commands.embed import embed  # noqa: E402
from britekit.results.learning import Pool, windows_of_archive  # noqa: E402
from britekit.results.learning_review import LearningReview  # noqa: E402
from britekit.results.recordings import Recordings  # noqa: E402


class Case:
    """A set with its archive: the pool that may be heard, and the test."""

    def __init__(self, name: str, folder: Path, archive: Path) -> None:
        self.clips: Clips = read_clips(name, folder)
        self.archive = Archive(archive)
        self.class_of = {r: self.clips.classes[c] for r, c in zip(self.clips.names, self.clips.label_N, strict=True)}
        candidates = windows_of_archive(self.archive, Recordings(folder / "recordings"))
        tested = {self.clips.names[clip] for clip in np.flatnonzero(self.clips.test_N)}
        in_pool = np.array([candidates.recordings[r] not in tested for r in candidates.recording_M])
        self.candidates = candidates.take(in_pool)
        clips = np.flatnonzero(self.clips.test_N)
        entries = [self.archive.entries[self.clips.names[clip]] for clip in clips]
        rows = np.concatenate([np.arange(entry.first, entry.first + entry.windows) for entry in entries])
        self.test_vectors = self.archive.take(rows)
        self.test_clip = np.repeat(clips, [entry.windows for entry in entries])
        self.test_label = self.clips.label_N[clips]

    def pool(self, seed: int) -> Pool:
        """Return what may be heard."""
        return Pool(self.candidates, self.archive, self.clips.classes, True, seed)

    def verdict(self, index: int, asked: str) -> Verdict:
        """Return what somebody says who knows the class of a window."""
        recording = self.candidates.recordings[self.candidates.recording_M[index]]
        start, end = float(self.candidates.start_M[index]), float(self.candidates.end_M[index])
        true = self.class_of[recording]
        return Verdict(
            id=new_id(), recording=recording, start=start, end=end, detection_start=start, detection_end=end,
            name=asked, verdict="yes" if asked == true else "no", others=() if asked == true else (true,),
        )  # fmt: skip

    def tested(self, pool: Pool, verdicts: list[Verdict]) -> float:
        """Return the macro average precision of the queue's probe after some verdicts."""
        probe = pool.fit(verdicts)
        assert probe is not None
        scores = 1 / (1 + np.exp(-pool.logits(probe, self.test_vectors)))
        return figures(by_clip(scores, self.test_clip), self.test_label)["ap"]

    def learned(self, pool: Pool, folder: Path, seed: int, most: int, every: int) -> list[Verdict]:
        """Let a scripted reviewer hear what the queue chooses; return the rows of the verdicts' file."""
        file = folder / f"verdicts-{seed}.csv"
        file.unlink(missing_ok=True)
        review = LearningReview(pool, every, file, "Script")
        for _ in range(most):
            number = review.next_number()
            assert number is not None
            item = review.items[number]
            true = self.class_of[item.recording]
            review.judge(number, "yes" if item.name == true else "no", [] if item.name == true else [true])
            review.settle()
        return read_verdicts(file)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--set", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--archives", type=Path, help="folder of archive-NAME that are there already")
    parser.add_argument("--embedder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--shares", default="0.1,0.2,0.4")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    store = work / "learn.json"
    done: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    shares = [float(text) for text in options.shares.split(",")]
    for name, folder in ((n, Path(f).resolve()) for n, f in (part.split("=") for part in options.set)):
        archive = (options.archives or work).resolve() / f"archive-{name}"
        if not archive.exists():
            embed(input_path=str(folder / "recordings"), archive=str(archive), model=str(options.embedder))
        case = Case(name, folder, archive)
        windows = len(case.candidates)
        for seed in range(options.seeds):
            key = f"{name} {options.every} {seed}"
            if key in done:
                continue
            began, pool = time.monotonic(), case.pool(seed)
            order = np.random.default_rng([seed, 77]).permutation(windows)
            asked = np.random.default_rng([seed, 78]).choice(case.clips.classes, windows)
            random = [case.verdict(int(index), str(name)) for index, name in zip(order, asked, strict=True)]
            learned = case.learned(pool, work, seed, round(max(shares) * windows), options.every)
            counts = [round(share * windows) for share in shares]
            done[key] = {
                "all": case.tested(pool, random),
                "learn": [case.tested(pool, learned[:count]) for count in counts],
                "random": [case.tested(pool, random[:count]) for count in counts],
                "counts": counts,
                "windows": windows,
                "seconds": time.monotonic() - began,
            }
            store.write_text(json.dumps(done))
            print(key, done[key], flush=True)
        show(name, [v for k, v in done.items() if k.startswith(f"{name} {options.every} ")], shares)
    return 0


def show(name: str, found: list[dict[str, Any]], shares: list[float]) -> None:
    """Print means over seeds."""
    whole = float(np.mean([each["all"] for each in found]))
    print(f"{name}: all {found[0]['windows']} labels: macro AP {whole:.3f}; {len(found)} seeds")
    for place, share in enumerate(shares):
        learn, random = (np.array([each[key][place] for each in found]) for key in ("learn", "random"))
        gap = learn - random
        half = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else np.nan
        print(
            f"  {share:.0%} ({found[0]['counts'][place]}): learn {learn.mean():.3f} = {learn.mean() / whole:.1%} of "
            f"all ({learn.min():.3f} to {learn.max():.3f}), random {random.mean():.3f} = {random.mean() / whole:.1%}; "
            f"difference {gap.mean():+.3f} ({gap.mean() - half:+.3f} to {gap.mean() + half:+.3f})"
        )


if __name__ == "__main__":
    sys.exit(main())
