"""Real parts in miniature: a 2-layer BERT checkpoint and pipelines built on it."""

import os

# Spin-waiting OpenMP threads make small ops crawl; must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("USE_TF", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
