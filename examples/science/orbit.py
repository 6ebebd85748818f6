"""One orbit of Halley's comet, in steps of equal time: distances to the sun in astronomical units."""

import subprocess

import numpy as np

ECCENTRICITY, AXIS = 0.96714, 17.834
means = np.linspace(0, np.pi, 9)
lines = "".join(f"{mean!r} {ECCENTRICITY}\n" for mean in means.tolist())
solved = subprocess.run(["kepler"], input=lines, capture_output=True, text=True, check=True).stdout
anomalies = np.array(solved.split(), dtype=float)
for mean, distance in zip(means, AXIS * (1 - ECCENTRICITY * np.cos(anomalies)), strict=True):
    print(f"{mean / (2 * np.pi):6.4f} of a period  {distance:7.3f} au")
