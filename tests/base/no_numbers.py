"""Texts that are no numbers, whatever Python makes of them."""

NO_NUMBERS = ("1_000", "1e5_0", "0x10", "１２", "٣", "1e999", "1d5", "++1")
