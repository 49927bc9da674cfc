//! Benchmarks of the director's parts and of the whole pipeline.
