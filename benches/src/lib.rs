//! Benchmarks of the director's parts and of the whole pipeline.

mod allocations;

pub use allocations::Counting;
