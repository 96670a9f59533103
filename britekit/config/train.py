"""Section `train`: the model, the run, labels and loss, augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from britekit.config.augmentations import (
    AugmentationConfig,
    augmentation_problems,
    default_augmentations,
    merge_augmentations,
)
from britekit.config.fields import Problem, Section, setting
from britekit.config.model_names import wrong_head, wrong_model


@dataclass
class TrainConfig(Section):
    """Settings of training; stored in each checkpoint."""

    SECTION: ClassVar[str] = "train"

    # model
    model_type: str = setting("effnet.2", "family.size, or timm.NAME")
    head_type: str | None = setting(None, "classifier head; null = the backbone's own")
    front: Literal["pcen", "band_norm"] | None = setting(None, "learned layer before the network")
    hidden_channels: int = setting(256, "width used by effnet, hgnet and the SED heads", low=1)
    pretrained: bool = setting(False, "start from published weights (timm.* only; downloaded)")
    load_ckpt_path: str | None = setting(None, "start from this checkpoint")
    freeze_backbone: bool = setting(False, "train the head only (with load_ckpt_path)")
    multi_label: bool = setting(True, "false = exactly one class per segment")
    drop_rate: float | None = setting(None, "dropout; null = the model's own", low=0, below=1)
    drop_path_rate: float | None = setting(None, "stochastic depth; null = the model's own", low=0, below=1)
    lse_temp: float = setting(0.5, "pooling temperature of the temporal head", above=0)
    two_way: bool = setting(True, "temporal head: both time directions")

    # run
    deterministic: bool = setting(False, "repeatable kernels")
    seed: int | None = setting(None, "seed of all generators, outside the pipeline", low=0)
    learning_rate: float = setting(0.002, "peak learning rate", above=0)
    batch_size: int = setting(64, "spectrograms per step", low=1)
    sampling: Literal["all", "class", "recording", "both"] = setting(
        "all", "draw rare classes, small recordings more", late=True
    )
    min_steps: int = setting(40, "fewest steps per epoch; batches shrink for it, to 8 at least", low=1)
    shuffle: bool = setting(True, "new order in each epoch")
    num_epochs: int | None = setting(None, "passes over the data; null = about 2,500 steps, at least 10", low=1)
    warmup_fraction: float = setting(0.1, "share of all steps used for warm-up", low=0, below=1)
    monitor: Literal["val_loss", "val_roc", "val_roc_macro", "val_pr", "val_pr_macro"] = setting(
        "val_loss", "what is best"
    )
    patience: int | None = setting(None, "stop after this many epochs without improvement; null = never", low=1)
    keep_best: bool = setting(False, "keep the best epoch's checkpoint beside the latest ones")
    publish_best: bool = setting(False, "`--publish` uses the best epoch instead of the last")
    save_last_n: int = setting(3, "number of checkpoints kept, of the latest epochs", low=1)
    num_folds: int = setting(1, "> 1 = cross-validation", low=1)
    val_portion: float = setting(0.0, "share held out for validation (only with num_folds 1)", low=0, below=1)
    train_db: str = setting("data/training.db", "the training database, a path or a URL")
    train_pickle: str = setting("data/training.pkl", "the training file")
    test_pickle: str | None = setting(None, "training file scored after training")
    num_workers: int = setting(3, "threads that decode the training file", low=0)
    devices: int = setting(1, "GPUs, or CPU processes, that share each batch; 0 = all GPUs", low=0)
    compile: bool = setting(False, "compile the model")
    flat_weights: bool = setting(False, "on a GPU: store weights in a few long parameters; effect not measured")
    mixed_precision: bool | None = setting(None, "16-bit mixed precision; null = on GPUs only")
    optimizer: str = setting("adamw", "any optimizer of timm")
    opt_weight_decay: float | None = setting(0.01, "weight decay; null = the optimizer's own", low=0)
    opt_beta1: float | None = setting(0.9, "null = the optimizer's own; both betas or neither", low=0, below=1)
    opt_beta2: float | None = setting(0.999, "null = the optimizer's own; both betas or neither", low=0, below=1)
    ema_decay: float = setting(
        0.0, "> 0 = use the moving average of the weights, such as 0.99", late=True, low=0, below=1
    )
    swa_portion: float = setting(
        0.0, "> 0 = average the weights over this last share of epochs", late=True, low=0, high=1
    )
    use_class_weights: bool = setting(False, "give rare classes more weight")
    weight_exponent: float = setting(0.5, "exponent of these weights", low=0)
    max_per_recording: int | None = setting(
        None, "random spectrograms per recording and epoch; null = all of them", late=True, low=1
    )
    max_per_recording_min_recordings: int | None = setting(
        None, "spare classes with fewer recordings than this", late=True, low=1
    )
    val_max_per_recording: int | None = setting(
        None, "score at most so many per held-out recording; null = all", late=True, low=1
    )

    # unlabeled recordings
    pseudo_labels: str | None = setting(
        None, "windows of unlabeled recordings to learn from too (`pseudo-label`)", late=True
    )
    pseudo_share: float = setting(0.5, "share of such windows in each batch", late=True, above=0, below=1)
    pseudo_weight: float = setting(1.0, "weight of their labels in the loss", late=True, above=0, high=1)

    # labels and loss
    loss: Literal["bce", "focal", "asymmetric"] = setting("bce", "multi-label loss; bce = cross-entropy", late=True)
    focal_gamma: float = setting(2.0, "focal loss: higher = easy cells count less", late=True, low=0)
    asymmetric_gamma: float = setting(4.0, "asymmetric loss: higher = easy negatives count less", late=True, low=0)
    asymmetric_margin: float = setting(
        0.05, "asymmetric loss: negatives scored below count 0", late=True, low=0, below=1
    )
    soft_auc_weight: float = setting(0.0, "weight of the soft AUC that is added to the loss", late=True, low=0)
    confusion_smoothing: float = setting(
        0.0, "raises the targets of classes confused with the true one", late=True, low=0, below=0.5
    )
    pos_label_smoothing: float = setting(0.08, "lowers positive targets", low=0, below=0.5)
    neg_label_smoothing: float = setting(0.01, "raises negative targets", low=0, below=0.5)
    sed_fps: int = setting(4, "frames per second that SED heads output", low=1)
    frame_loss_weight: float = setting(0.5, "share of frames in the loss of SED heads", low=0, high=1)
    offpeak_weight: float = setting(0.002, "penalty for scores spread over time", low=0)
    frame_label_pickle: str | None = setting(None, "frame labels for SED heads (pickle-frame)", late=True)
    teacher_targets_pickle: str | None = setting(None, "targets of an ensemble (teacher-targets)", late=True)
    distillation_weight: float = setting(0.5, "share of the teachers in the loss", late=True, low=0, high=1)
    distillation_temperature: float = setting(1.0, "softens the teachers' targets", late=True, above=0)
    teacher_only_if_no_frame: bool = setting(
        False, "spectrograms without frame labels learn from the teachers alone", late=True
    )

    # augmentation
    augment: bool = setting(True, "use the augmentations below")
    noise_class_name: str = setting("Noise", "class that provides noise")
    prob_simple_merge: float = setting(0.32, "probability of adding another class's spectrogram", low=0, high=1)
    prob_mixup: float = setting(0.0, "probability of mixing with another spectrogram", low=0, high=1)
    prob_cutmix: float = setting(0.0, "probability of pasting a box of another spectrogram", low=0, high=1)
    mix_sources: int = setting(2, "most spectrograms that merge and mixup combine", late=True, low=2, high=5)
    mixup_alpha: float = setting(0.4, "parameter of the Beta distribution for mixup and cutmix", above=0)
    prob_fade1: float = setting(0.5, "probability of a final fade", low=0, high=1)
    min_fade1: float = setting(0.1, "smallest fade factor", low=0, high=1)
    max_fade1: float = setting(1.0, "largest fade factor", low=0, high=1)
    max_augmentations: int | None = setting(
        None, "maximum number of augmentations per spectrogram; null = no limit", low=1
    )
    augmentations: list[AugmentationConfig] = setting(
        default_augmentations, "applied in this order; a file may list only those it changes"
    )

    @classmethod
    def check(cls, name: str, value: Any) -> tuple[Any, str]:
        """Return the value in the field's own type, and what is wrong with it (empty = nothing)."""
        if name != "augmentations":
            value, wrong = super().check(name, value)
            if value is not None and not wrong and name in ("model_type", "head_type"):
                wrong = wrong_model(value) if name == "model_type" else wrong_head(value)
            return value, wrong
        # Assigned from Python, the list is taken as it stands: what it leaves out is off.
        entries, problems = merge_augmentations([], value)
        return entries, "; ".join(problems)

    def relations(self) -> Iterator[Problem]:
        """Yield contradictions between training fields."""
        if self.val_portion > 0 and self.num_folds > 1:
            yield Problem(
                ("train.val_portion", "train.num_folds"),
                f"{self.val_portion:g} cannot be combined with num_folds {self.num_folds}; use one of them",
            )
        if self.num_folds == 1 and self.val_portion == 0:
            for name in ("patience", "keep_best", "publish_best"):
                if getattr(self, name):
                    yield Problem(
                        (f"train.{name}", "train.val_portion"),
                        "needs held-out data; set val_portion above 0 or num_folds above 1",
                    )
        if self.max_per_recording_min_recordings is not None and self.max_per_recording is None:
            yield Problem(
                ("train.max_per_recording_min_recordings", "train.max_per_recording"),
                "spares classes from max_per_recording, which is null; set that too",
            )
        if self.val_max_per_recording is not None and self.num_folds == 1 and self.val_portion == 0:
            yield Problem(
                ("train.val_max_per_recording", "train.val_portion"),
                "needs held-out data; set val_portion above 0 or num_folds above 1",
            )
        if self.ema_decay > 0 and self.swa_portion > 0:
            yield Problem(
                ("train.ema_decay", "train.swa_portion"), "cannot be combined with swa_portion; use one of them"
            )
        if self.sampling != "all" and not self.shuffle:
            yield Problem(
                ("train.sampling", "train.shuffle"), f"{self.sampling} draws at random and needs shuffle true"
            )
        if self.loss != "bce" and not self.multi_label:
            yield Problem(("train.loss", "train.multi_label"), f"{self.loss} needs multi_label true")
        total = self.prob_simple_merge + self.prob_mixup + self.prob_cutmix
        if total > 1 + 1e-9:
            yield Problem(
                ("train.prob_simple_merge", "train.prob_mixup", "train.prob_cutmix"),
                f"together with prob_mixup and prob_cutmix {total:g}; a spectrogram gets at most one "
                "of them, so the sum must not exceed 1",
            )
        if self.min_fade1 > self.max_fade1:
            yield Problem(
                ("train.min_fade1", "train.max_fade1"), f"{self.min_fade1:g} is above max_fade1, {self.max_fade1:g}"
            )
        if (self.opt_beta1 is None) != (self.opt_beta2 is None):
            yield Problem(("train.opt_beta1", "train.opt_beta2"), "give both betas or set both to null")
        if self.pretrained and not self.model_type.startswith("timm."):
            yield Problem(
                ("train.pretrained", "train.model_type"),
                f"there are published weights only for timm.* models, not for {self.model_type}",
            )
        if self.freeze_backbone and self.load_ckpt_path is None:
            yield Problem(("train.freeze_backbone", "train.load_ckpt_path"), "needs load_ckpt_path")
        if self.frame_label_pickle is not None and not (self.head_type or "").endswith("_sed"):
            yield Problem(
                ("train.frame_label_pickle", "train.head_type"),
                f"needs a head with frames, such as temporal_sed, not {self.head_type}",
            )
        for name in ("frame_label_pickle", "teacher_targets_pickle"):
            if getattr(self, name) is not None and self.pseudo_labels is not None:
                yield Problem((f"train.{name}", "train.pseudo_labels"), "cannot be combined with pseudo_labels")
        if self.teacher_only_if_no_frame and (self.frame_label_pickle is None or self.teacher_targets_pickle is None):
            yield Problem(
                ("train.teacher_only_if_no_frame", "train.frame_label_pickle", "train.teacher_targets_pickle"),
                "needs frame_label_pickle and teacher_targets_pickle",
            )
        if not self.multi_label and (self.head_type or "").endswith("_sed"):
            yield Problem(
                ("train.multi_label", "train.head_type"),
                f"false cannot be combined with a head that finds sounds in time ({self.head_type})",
            )
        yield from augmentation_problems(self.augmentations)
