"""Draw what an autoencoder does, from a trained one: autoencoder.svg, for light and dark pages."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import MinMaxScaler

from skae import AutoencoderOutlierDetector
from skae.datasets import make_heartbeats

# Mid-tones, which can be read on white and on black.
TEXT, ROW, RETURNED, BOX = "#767e88", "#3b8fd0", "#e0803a", "#5f7088"

X, y = make_heartbeats(500, anomaly_share=0.2, random_state=0)
X = MinMaxScaler().fit(X[y == 1]).transform(X)
detector = AutoencoderOutlierDetector(latent_dim=4, epochs=80, random_state=0).fit(X[y == 1])
row = X[y == -1][1]
code = detector.transform(row[None])[0]
returned = detector.reconstruct(row[None])[0]

matplotlib.rcParams.update({"svg.hashsalt": "skae", "font.size": 11, "text.color": TEXT})
fig = plt.figure(figsize=(7.5, 2.7))


def panel(left, width, title, below):
    """Return axes without a frame, with a line of text above and one below."""
    ax = fig.add_axes((left, 0.2, width, 0.58))
    ax.axis("off")
    ax.set_title(title, color=TEXT, fontsize=12)
    ax.text(0.5, -0.08, below, transform=ax.transAxes, ha="center", va="top")
    return ax


def box(left, heights, name):
    """Draw a half of the network: a trapezoid that narrows toward the code."""
    ax = fig.add_axes((left, 0.2, 0.13, 0.58))
    ax.axis("off")
    first, last = heights
    corners = [(0, -first), (1, -last), (1, last), (0, first)]
    ax.add_patch(plt.Polygon(corners, facecolor=BOX, edgecolor="none"))
    ax.set(xlim=(0, 1), ylim=(-1, 1))
    ax.text(0.5, 0, name, color="white", ha="center", va="center", weight="bold")


limits = (min(row.min(), returned.min()) - 0.05, max(row.max(), returned.max()) + 0.05)
ax = panel(0.01, 0.23, "row $x$", "140 numbers")
ax.plot(row, color=ROW)
ax.set_ylim(limits)

box(0.26, (0.9, 0.35), "encoder $f$")
ax = panel(0.41, 0.1, "code $z = f(x)$", "4 numbers")
ax.bar(range(len(code)), code, color=TEXT)
ax.axhline(0, color=TEXT, linewidth=0.8)
ax.set_ylim(-2.2 * np.abs(code).max(), 2.2 * np.abs(code).max())
box(0.53, (0.35, 0.9), "decoder $g$")

ax = panel(0.69, 0.3, r"reconstruction $\hat{x} = g(z)$", "140 numbers")
ax.fill_between(range(len(row)), row, returned, color=RETURNED, alpha=0.35, linewidth=0)
ax.plot(row, color=ROW)
ax.plot(returned, "--", color=RETURNED)
ax.set_ylim(limits)
ax.text(0.5, -0.24, "shaded: the error", transform=ax.transAxes, ha="center", va="top")

fig.savefig(Path(__file__).with_name("autoencoder.svg"), transparent=True, metadata={"Date": None})
