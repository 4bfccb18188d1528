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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_is_a_request() {
        let cancel = Cancel::default();
        listen(&cancel).unwrap();
        assert!(cancel.check().is_ok());
        signal_hook::low_level::raise(SIGHUP).unwrap();
        assert!(cancel.check().is_err());
    }
}
