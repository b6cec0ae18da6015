"""Where packets flow: one interface, served by the kernel, by native code or by Python."""
