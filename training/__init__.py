"""Training and evaluation of the models; run from the repository root, never installed.

Reading order: config, datasets, grammar, augment, losses, checkpoint, train; export, calibrate; metrics, poses,
evaluate, figures.
"""
