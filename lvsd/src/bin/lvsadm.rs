//! ipvsadm's own grammar over lvsd's control socket: a thin front of the library.

fn main() {}
