//! Scenarios: a step, then what changed because of it and what did not.

mod frames;
mod scene;

mod calls;
mod connections;
mod defence;
mod errors;
mod fragments;
mod ftp;
mod hostile;
mod marks;
mod own;
mod path_mtu;
mod shortage;
mod sysctls;
