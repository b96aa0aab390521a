//! Servers' frames, a lossy link and a mirror, compared entity by entity.
