"""Calibration from verdicts against scikit-learn, and against a world whose truth is known."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

import britekit.commands as commands
from britekit.errors import InputError
from britekit.inference.platt import read_calibration
from britekit.results.precision import SampledDetections
from britekit.results.verdict_calibration import weighted_error
from tests.results.test_precision_report import read, say, write_labels

SHARES = {True: 0.5, False: 0.05}  # of high and of low scores


@pytest.fixture
def archive(tmp_path: Path):
    """3,000 detections of two classes whose probability is σ(0.6 logit - 1), drawn unequally."""
    rng = np.random.default_rng(5)
    rows, sampled = [], []
    for number in range(3000):
        score = float(np.clip(rng.beta(1.2, 1.0), 0.001, 0.999))
        name = ("Wren", "Owl")[number % 2]
        rows.append((f"s{number % 40}/r{number}", name, 5.0, 10.0, round(score, 6)))
    labels = write_labels(tmp_path / "labels", rows)
    for row in rows:
        share = SHARES[row[4] > 0.8]
        if rng.random() < share:
            logit = np.log(row[4] / (1 - row[4]))
            yes = rng.random() < 1 / (1 + np.exp(1 - 0.6 * logit))
            say(tmp_path / "v.csv", row, "yes" if yes else "no", share)
            sampled.append((row[4], yes, 1 / share, row[1]))
    return tmp_path, labels, rows, sampled


def run(tmp_path, labels, **options):
    out = tmp_path / "out"
    a, b = commands.calibrate(
        verdicts_path=str(tmp_path / "v.csv"), label_dir=str(labels), output_path=str(out), **options
    )
    return a, b, yaml.safe_load((out / "calibration.yaml").read_text())


def test_the_fit_is_that_of_scikit_learn_with_sample_weights(archive):
    tmp_path, labels, rows, sampled = archive
    a, b, content = run(tmp_path, labels)
    score, true, weight, _ = (np.array(column) for column in zip(*sampled, strict=True))
    z = np.log(score / (1 - score))
    weight = weight / weight.mean()
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(z[:, None], true, sample_weight=weight)
    assert (a, b) == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=1e-5)
    # Without the weights the sample would look better than the archive is.
    naive = LogisticRegression(C=1.0).fit(z[:, None], true)
    assert abs(naive.intercept_[0] - b) > 1e-3
    assert a == pytest.approx(0.6, abs=0.12) and b == pytest.approx(-1.0, abs=0.3)
    assert content["ece_after"] < content["ece_before"] / 2 and content["verdicts"] == len(sampled)
    assert read_calibration(tmp_path / "out/calibration.yaml").coefficient == pytest.approx(a, rel=1e-5)


def test_thresholds_reach_the_precision_with_their_lower_bound(archive, capsys):
    tmp_path, labels, rows, sampled = archive
    _, _, content = run(tmp_path, labels, precision=0.7)
    pairs = {name: (entry["coefficient"], entry["intercept"]) for name, entry in content["classes"].items()}
    for name, threshold in content["thresholds"]["classes"].items():
        a, b = pairs.get(name, (content["coefficient"], content["intercept"]))
        scores = np.array([row[4] for row in rows if row[1] == name])
        mine = [(s, y, w) for s, y, w, n in sampled if n == name]
        place = [int(np.argmin(abs(scores - s))) for s, _, _ in mine]
        sample = SampledDetections(scores, place, [y for _, y, _ in mine], [1 / w for _, _, w in mine])
        reached = [s for s, _, _ in sorted(mine) if sample.precision(s).low >= 0.7]
        if threshold is None:
            assert not reached
        else:
            logit = np.log(reached[0] / (1 - reached[0]))
            assert threshold == pytest.approx(1 / (1 + np.exp(-(a * logit + b))), abs=1e-5)
    table = {row["class"]: row["threshold"] for row in read(tmp_path / "out/thresholds.csv")}
    assert set(table) == {"Wren", "Owl"} and any(table.values())
    assert "threshold for precision 0.7" in capsys.readouterr().out


def test_labels_that_were_calibrated_are_fitted_on_what_they_were_before(archive):
    tmp_path, labels, rows, _ = archive
    a, b, _ = run(tmp_path, labels)
    scaled = []
    for recording, name, start, end, score in rows:
        z = np.log(score / (1 - score))
        scaled.append((recording, name, start, end, f"{1 / (1 + np.exp(-(2.0 * z + 0.5))):.9f}"))
    write_labels(tmp_path / "labels", scaled)
    manifest = {"calibration": {"coefficient": 2.0, "intercept": 0.5}, "classes": [{"name": "Wren"}, {"name": "Owl"}]}
    (labels / "manifest.yaml").write_text(yaml.safe_dump({**manifest, "inference": {"label_field": "names"}}))
    again = run(tmp_path, labels)[:2]
    assert again == pytest.approx((a, b), abs=0.01)


def test_weighted_error_by_hand():
    """Two bins of one value each: weights 3 and 1, off by 0.2 and 0.4."""
    found = weighted_error(np.array([1.0, 0.0]), np.array([0.8, 0.4]), np.array([3.0, 1.0]))
    assert found == pytest.approx((3 * 0.2 + 1 * 0.4) / 4)


def test_too_few_or_chosen_verdicts_are_refused(tmp_path: Path, archive):
    _, labels, rows, _ = archive
    (tmp_path / "v.csv").unlink()
    for row in rows[:20]:
        say(tmp_path / "v.csv", row, "yes", None)
    with pytest.raises(InputError, match="0 verdicts of yes or no are about detections in .* drawn at random; a calib"):
        run(tmp_path, labels)
    for row in rows[20:40]:
        say(tmp_path / "v.csv", row, "yes", 0.1)
    with pytest.raises(InputError, match="20 verdicts .* at random, all yes; a calibration needs at least 10 of both"):
        run(tmp_path, labels)
    with pytest.raises(InputError, match=r"annotations \(-a\) or verdicts \(--verdicts\), labels and output"):
        commands.calibrate(label_dir=str(labels), output_path=str(tmp_path / "out"))
