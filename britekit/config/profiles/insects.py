"""Grasshoppers, crickets, cicadas: long, broad-band songs, mostly above 2 kHz, from recorders at 44.1 kHz or more."""

EVIDENCE = "TODO"
SETTINGS = {
    "audio": {
        "win_length": 0.012,
        "min_freq": 1000,
        "max_freq": 21000,
        "sampling_rate": 44160,
        "freq_scale": "linear",
    },
}
