"""What holds for the whole suite."""

import signal

# A shell without job control starts what runs in its background with SIGINT ignored, and every child would inherit that:
# commands that are to end at Ctrl-C would not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
