//! Any octets as what the TUN device hands over: a virtio header and a packet, cut into all its parts.
#![no_main]

use culvert_native::offload::{Plan, VIRTIO_LEN, VirtioHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(header) = VirtioHeader::parse(data) else { return };
    let packet = &data[VIRTIO_LEN..];
    let Ok(plan) = Plan::new(&header, packet) else { return };
    let mut out = vec![0; plan.full_len()];
    let mut total = 0;
    for index in 0..plan.count() {
        let length = plan.write(index, &mut out);
        assert!(length == plan.full_len() || index + 1 == plan.count());
        total += length;
    }
    assert!(total >= packet.len());
});
