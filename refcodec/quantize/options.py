"""What a user may choose about a quantisation; plain values, so that the command line starts quickly."""

OBSERVERS = ("mse", "minmax", "percentile", "sigma", "sigma-upper")
WEIGHT_GRAINS = ("channel", "tensor")
ACTIVATION_GRAINS = ("channel", "equalised", "tensor")
PICTURES = 64  # to calibrate on; with 16, W8A8 lost half as much again on a GDN model
BITS = 8
PERCENTILE = 99.99
