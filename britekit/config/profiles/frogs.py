"""Frogs and toads: calls of 0.1 s to some seconds between 200 Hz and 10 kHz."""

EVIDENCE = (
    "from literature, unmeasured: windows of 3 s at 22.05 kHz as in AnuraSet (J. S. Cañas et al., Scientific Data 10, "
    "2023)"
)
SETTINGS = {
    "audio": {
        "spec_duration": 3.0,
        "spec_width": 384,
        "win_length": 0.04,
        "min_freq": 150,
        "max_freq": 10000,
        "sampling_rate": 22016,
    }
}
