"""What holds for all tests."""

import signal

from hypothesis import settings

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that: tests that
# interrupt a program would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A busy machine is no fault of the code.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")
