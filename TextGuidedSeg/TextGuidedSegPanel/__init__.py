"""What the module's panel is made of, one idea a file; none of them loads torch.

Reading order: `scene` (a volume node becomes an image, arrays become voxels in their place), `segments` (a mask becomes
a named segment), `provenance` (how a segment remembers the phrase and the model it came from), `overlay` (the
pseudo-image above the slice views). These four need no Qt, so they work in scripts and without a window.
"""
