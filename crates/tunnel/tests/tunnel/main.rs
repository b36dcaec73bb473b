//! The tunnel as its users have it: an authority, a relay, inlets and outlets, joined by real sockets.

#[cfg(test)]
mod world;

#[cfg(test)]
mod blind;
#[cfg(test)]
mod healing;
#[cfg(test)]
mod kafka;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod streams;
