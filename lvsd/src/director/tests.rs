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
mod one_packet;
mod order;
mod own;
mod path_mtu;
mod persistence;
mod probe;
mod sctp;
mod shortage;
mod shortcut;
mod sysctls;
mod thresholds;
mod tunnels;
