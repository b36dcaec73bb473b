//! The tunnel as its users have it: an authority, a relay, inlets and outlets, joined by real sockets.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod middlebox;
#[cfg(test)]
mod scram;
#[cfg(test)]
mod world;

#[cfg(test)]
mod blind;
#[cfg(test)]
mod broker_tls;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod half_open;
#[cfg(test)]
mod healing;
#[cfg(test)]
mod kafka;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod sasl;
#[cfg(test)]
mod streams;
