//! The TUN device: large packets in and out, several queues (Linux, `Documentation/networking/tuntap.rst`).

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::offload::{VIRTIO_LEN, VirtioHeader};

/// Room for the largest read: a virtio header and an IP packet.
pub const READ_SIZE: usize = VIRTIO_LEN + 65_535;

// linux/if_tun.h; the libc crate has only some of them.
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
const TUNSETVNETHDRSZ: libc::Ioctl = 0x4004_54d8;
const IFF_TUN: u16 = 0x0001;
const IFF_MULTI_QUEUE: u16 = 0x0100;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
const TUN_F_CSUM: u32 = 0x01;
const TUN_F_TSO4: u32 = 0x02;
const TUN_F_TSO6: u32 = 0x04;
const TUN_F_TSO_ECN: u32 = 0x08;
const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;

/// What the kernel agreed to hand over uncut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// TCP over IPv4 and IPv6.
    pub tso: bool,
    /// UDP datagrams of one flow (Linux 6.2); then the device also takes merged ones.
    pub uso: bool,
}

/// One queue of a device. Packets are read and written with a virtio header before each.
#[derive(Debug)]
pub struct Queue {
    file: File,
    offloads: Offloads,
}

#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: u16,
    padding: [u8; 22],
}

/// Make the device `name`, or attach to it, with `queues` queues; non-blocking. It vanishes with its last queue.
///
/// Errors: what the system says, `InvalidInput` for a name that is empty or longer than 15 octets.
pub fn open(name: &str, queues: usize) -> io::Result<Vec<Queue>> {
    (0..queues.max(1))
        .map(|_| Queue::open(name, queues > 1))
        .collect()
}

impl Queue {
    fn open(name: &str, multi_queue: bool) -> io::Result<Self> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a device's name has 1 to 15 octets",
            ));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        let mut request = InterfaceRequest {
            name: [0; libc::IFNAMSIZ],
            flags: 0,
            padding: [0; 22],
        };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        request.flags =
            IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | if multi_queue { IFF_MULTI_QUEUE } else { 0 };
        // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, 40 octets, which `request` is and outlives the call.
        check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &mut request) })?;
        Self::adopt(file.into())
    }

    /// Take over a descriptor that is attached to a device with `IFF_VNET_HDR`, and ask for the offloads.
    ///
    /// Errors: what the system says, for instance that it is no TUN descriptor.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let file = File::from(fd);
        let size = VIRTIO_LEN as libc::c_int;
        // SAFETY: TUNSETVNETHDRSZ reads one int, which outlives the call.
        check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETVNETHDRSZ, &size) })?;
        let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
        let steps = [
            (
                tcp | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
                Offloads {
                    tso: true,
                    uso: true,
                },
            ),
            (
                tcp | TUN_F_TSO_ECN,
                Offloads {
                    tso: true,
                    uso: false,
                },
            ),
            (
                tcp,
                Offloads {
                    tso: true,
                    uso: false,
                },
            ),
            (TUN_F_CSUM, Offloads::default()),
        ];
        for (bits, offloads) in steps {
            // SAFETY: TUNSETOFFLOAD takes its argument by value and touches no memory of ours.
            if check(unsafe {
                libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD, libc::c_ulong::from(bits))
            })
            .is_ok()
            {
                return Ok(Self { file, offloads });
            }
        }
        Ok(Self {
            file,
            offloads: Offloads::default(),
        })
    }

    /// For tests: a descriptor that keeps packets apart, such as a `SOCK_SEQPACKET` socket, in place of a device.
    pub fn stand_in(fd: OwnedFd) -> Self {
        let offloads = Offloads {
            tso: true,
            uso: true,
        };
        Self {
            file: File::from(fd),
            offloads,
        }
    }

    /// What the kernel agreed to.
    pub fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Read one packet into `buffer` ([`READ_SIZE`] octets hold any): its virtio header and where in `buffer` it is.
    ///
    /// Errors: `WouldBlock` if there is none; what the system says otherwise.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> io::Result<(VirtioHeader, &'b mut [u8])> {
        let length = (&self.file).read(buffer)?;
        let header = VirtioHeader::parse(&buffer[..length]);
        let header = header.ok_or_else(|| {
            io::Error::new(io::ErrorKind::UnexpectedEof, "the device was removed")
        })?;
        Ok((header, &mut buffer[VIRTIO_LEN..length]))
    }

    /// Write one packet in parts, the virtio header first, as [`crate::offload::coalesce::Burst::finish`] gives them.
    ///
    /// Errors: what the system says: `InvalidInput` for a packet that it finds malformed, `EIO` while the device is down.
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        (&self.file).write_vectored(parts).map(drop)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
