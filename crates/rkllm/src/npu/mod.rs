//! What the system says about the chip and its NPU, without privileges where possible.
//!
//! Everything is a [`Reading`]: a value, or the reason why there is none. Nothing is ever written.

mod clocks;
mod nodes;
mod reading;
mod soc;
mod status;

pub use clocks::{Clock, RECOMMENDED_GOVERNOR, clocks, clocks_under};
pub use nodes::{Node, nodes, nodes_under};
pub use reading::Reading;
pub use soc::{Platform, Soc, soc, soc_under};
pub use status::{Driver, NpuStatus, npu_status, npu_status_under};
