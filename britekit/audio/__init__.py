"""Sound files in; waveforms, then spectrograms, out. NumPy, SciPy and soxr; torch only for a GPU.

The way through, one file each:

- ``files``: which files are recordings, and how a path is shown in a message.
- ``decoding``: any file as blocks of samples, read by ``soundfile_decoder`` and ``pyav_decoder``. The actual content of
  a file, regardless of its header, is found by ``chunk_sizes`` (WAV, AIFF, AU, CAF; walked by ``chunks``),
  ``flac_frames``, ``ogg_pages`` and ``mpeg_frames`` (MP3), as ``parts``; ``endings`` detects cut-off films.
- ``metadata``: when, where and with what a recording was made; ``riff`` reads the small chunks of a WAV file,
  ``recording_names`` reads file names.
- ``time_expansion``: by how much stored ultrasound was slowed down.
- ``mp3``: the MP3 encoder; ``conversion``: replaces originals by MP3s; ``copies`` checks that nothing is lost.
- ``file_check``: format, length and integrity of each file in a folder.
- ``channels``: several channels at the file's rate become one at the working rate; ``resampling`` changes the rate.
- ``frequency_scales``: the weights that turn FFT bins into the rows of a spectrogram.
- ``spectrogram``: a signal and start times become normalized and raw spectrograms.
- ``spectrogram_torch``: the same on a GPU, from the waveform on.
- ``window_grid``: where the windows of a recording begin; ``windows``: their spectrograms, in constant memory.
- ``stages``: how long decoding, spectrograms and models took for one recording.
- ``overview``: one spectrogram of a whole recording, likewise.
- ``threads``: single-threaded matrix products for parallel readers.
- ``signal``: one recording in memory, for interactive use and plots.

Shapes are named B (segments), C (channels), F (frequency rows), T (time columns), n (samples).
"""
