"""Coil sensitivities: the calibration region, ESPIRiT, and the estimates as preparations."""
