//! Built-in profiles: what “debian12” means.
