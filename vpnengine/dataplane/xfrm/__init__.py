"""The kernel's own IPsec as a data path: states and policies over NETLINK_XFRM (linux/xfrm.h)."""
