//! The TUN device with its virtio headers.
