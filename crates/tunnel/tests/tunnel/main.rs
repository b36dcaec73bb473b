//! The tunnel as its users have it: an authority, a relay, inlets and outlets, joined by real sockets.

#[cfg(test)]
mod world;

#[cfg(test)]
mod streams;
