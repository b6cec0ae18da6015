"""A booted guest whose kernel has ESP: Debian's cloud kernel under QEMU, made by a script (docs/kernel-lab.md)."""
