//! The tests that hold for both families, and the driver they use.

mod answers;
mod child;
#[path = "../child_folder.rs"]
mod child_folder;
mod defaults;
mod driver;
mod init;
mod outputs;
mod reference;
mod running;
mod traps;
