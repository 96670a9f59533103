"""Baleen whales: calls of some seconds below 500 Hz, from hydrophones."""

EVIDENCE = (
    "from literature, unmeasured: calls of blue and fin whales lie between 10 and 150 Hz and last up to 20 s (M. A. "
    "McDonald, S. L. Mesnick & J. A. Hildebrand, Journal of Cetacean Research and Management 8, 2006), those of right "
    "whales up to about 350 Hz (Y. Shiu et al., Scientific Reports 10, 2020)"
)
SETTINGS = {
    "audio": {
        "spec_duration": 30.0,
        "spec_width": 480,
        "win_length": 0.5,
        "min_freq": 5,
        "max_freq": 480,
        "sampling_rate": 1024,
        "freq_scale": "linear",
    },
    "infer": {"overlap": 15.0},
    "pipeline": {"extract_overlap": 15.0},
}
