from britekit.commands.sample import sample
from britekit.options import options_of


def test_prints_what_it_made(tmp_path, capsys):
    assert sample(str(tmp_path / "s"), num_classes=1, num_recordings=1, num_test=1, seed=3) == (2, 1)
    assert capsys.readouterr().out == "training recordings = 2\ntest recordings = 1\n"
    assert len(list((tmp_path / "s").rglob("*.flac"))) == 3


def test_defaults_agree_with_the_library():
    from britekit.collect import sample as library

    options = options_of(sample)(output_path="x")
    assert (options.num_classes, options.num_recordings, options.num_test, options.seed) == (
        library.DEFAULT_CLASSES,
        library.DEFAULT_RECORDINGS,
        library.DEFAULT_TEST,
        library.DEFAULT_SEED,
    )
