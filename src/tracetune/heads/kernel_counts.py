"""How many kernels read a series, and of how many weights; importable without PyTorch."""

TAPS = 9  # weights of a kernel
HEAVY_TAPS = 3
KERNELS = 84  # of the convolutions: ways to choose three taps of nine
GROUP = 8  # kernels that compete with each other
