//! The host around a director and its real servers: addresses, routes, neighbours, sysctls and source NAT.
