//! Rules for the headers of inner packets, as functions on slices: ECN, DSCP, TTL, DF, MTU, MSS, fragments.
