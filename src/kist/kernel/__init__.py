"""The one door to the kernel: ctypes, /proc, cgroupfs, netlink, nftables (ring 1; standard library only).

One small function per call. Every failure is an ``OSError`` with ``errno`` and ``filename``; what it means, and what
the user can do about it, is said by the callers. Most modules here are loaded by the spawner, whose memory is copied
into every monitor, so they import little and annotate with strings.
"""
