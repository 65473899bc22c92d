//! What a model promises whoever asks it, shown on an engine that does as it is told.

#[cfg(test)]
mod cancellation;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod finishing;
#[cfg(test)]
mod host_memory;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod media;
#[cfg(test)]
mod prefixes;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod saved_prefixes;
#[cfg(test)]
mod scheduling;
#[cfg(test)]
mod speculation;
#[cfg(test)]
mod stats;
