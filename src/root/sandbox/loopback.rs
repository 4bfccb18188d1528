//! The one network that scripts have: their own loopback. Some (postfix's) end with an error where no interface at all is up.

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::SandboxError;

/// Sets the loopback interface of this process's network namespace up.
///
/// It has no address configured by us: the kernel gives it `127.0.0.1` and `::1`.
pub(super) fn set_up() -> Result<(), SandboxError> {
    let refused = || SandboxError::os("set the loopback interface up");
    // Its default protocol is NETLINK_ROUTE.
    let kind = (AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, None).map_err(refused())?;
    rustix::net::send(&socket, &request(), SendFlags::empty()).map_err(refused())?;
    let mut answer = [0; 64];
    let (_, length) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty()).map_err(refused())?;
    // An `nlmsgerr` after the header: zero, or a negative error number (netlink(7)).
    match answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes) {
        Some(0) if length >= 20 => Ok(()),
        Some(error) if length >= 20 => Err(refused()(rustix::io::Errno::from_raw_os_error(error.saturating_neg()))),
        _ => Err(refused()(rustix::io::Errno::PROTO)),
    }
}

/// `RTM_NEWLINK` that sets `IFF_UP` on interface 1, which is the loopback in every network namespace (rtnetlink(7)).
fn request() -> [u8; 32] {
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut request = [0; 32];
    request[0..4].copy_from_slice(&32_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_AND_ACK.to_ne_bytes());
    request[20..24].copy_from_slice(&1_i32.to_ne_bytes());
    request[24..28].copy_from_slice(&IFF_UP.to_ne_bytes());
    request[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    request
}
