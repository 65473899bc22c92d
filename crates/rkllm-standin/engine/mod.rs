//! The engine over this library: what every engine must do, and what becomes of a runtime's faults.

mod child;
#[path = "../child_folder.rs"]
mod child_folder;
mod contract;
mod faults;
mod model;
