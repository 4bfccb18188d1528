//! Ctrl-C and its kin.

use std::sync::Arc;

use image_composer::progress::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::{Error, Result, exit};

/// From now on the first SIGINT, SIGTERM or SIGHUP asks the work to stop, and the second ends the process at once.
pub(super) fn listen(cancel: &Cancel) -> Result {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let asked = cancel.flag();
        // In this order: the first signal must not yet see its own mark.
        flag::register_conditional_shutdown(signal, i32::from(exit::INTERRUPTED), Arc::clone(&asked))
            .and_then(|_| flag::register(signal, asked))
            .map_err(Error::Signals)?;
    }
    Ok(())
}
