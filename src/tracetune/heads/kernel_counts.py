"""How many kernels read a series, of how many weights, and how many series at once; importable without PyTorch."""

TAPS = 9  # weights of a kernel
HEAVY_TAPS = 3
KERNELS = 84  # of the convolutions: ways to choose three taps of nine
GROUP = 8  # kernels that compete with each other
SERIES_AT_ONCE = 32  # whose convolutions are in memory together
